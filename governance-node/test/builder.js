// An agent in a process of its own, whose tool needs a person's approval: `node builder.js HOME`.

import { once } from 'node:events'

import { Governance } from '../index.js'

const governance = await Governance.open({ home: process.argv[2] })
const builder = await governance.agent('builder', await governance.begin('ship it'), { role: 'alpha', tier: 'T2' })
const apply = builder.govern((plan) => plan.toUpperCase(), { action: 'terraform_apply', target: 'prod-web', waiting: 50_000 })
console.log(await apply('a.tfplan'))
await once(process.stdin, 'data')
process.exit()
