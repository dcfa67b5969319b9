// Revokes an agent, and says when that was acknowledged.

import { Governance } from 'governance'

const [home, agent] = process.argv.slice(2)
const governance = await Governance.open({ home })
await governance.revocations.revoke(agent, 'manual', 'from the other side')
console.log('revoked')
await governance.close()
