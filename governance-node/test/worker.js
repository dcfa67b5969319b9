// A worker thread of a test: works, and ends while more is under way.

import { parentPort, workerData } from 'node:worker_threads'

import { Governance } from '../index.js'

const governance = await Governance.open({ home: workerData.home })
const board = await governance.blackboard('t', `worker-${workerData.number}`)
const version = await board.post('progress', `from-${workerData.number}`, { n: workerData.number })
board.events({ after: { lineage: 0, position: 1_000 } }).next().catch(() => {})
if (workerData.close) await governance.close()
parentPort.postMessage(version)
parentPort.close()
if (!workerData.close) process.exit(0)
