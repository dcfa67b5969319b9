// What a governed put costs beside plain clients, in one run: `bun benches/node.mjs`, `node benches/node.mjs`, after `node governance-node/install.js`.
// Only the ratios mean anything. Needs redis-server, and `npm ci` in governance-node. With `PROCESSOR_TIME=1` the processor time of this process and of
// the server is counted instead of the time that goes by: what a machine that does other things as well can tell.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Governance } from '../governance-node/index.js'

const Redis = createRequire(new URL('../governance-node/', import.meta.url))('ioredis')
const bun = globalThis.Bun
const [ROUNDS, CALLS] = [9, 1_000]
const value = { title: 'a cache', notes: Array.from({ length: 12 }, (_, n) => ({ n, text: 'x'.repeat(56), good: n % 2 === 0 })) }
const isProcessor = Boolean(process.env.PROCESSOR_TIME)

/** What a process has used, in microseconds. */
const used = (pid) => readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1000, 0)
const microseconds = () => (isProcessor ? process.cpuUsage().user + process.cpuUsage().system + used(server.pid) : performance.now() * 1000)
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]

/** So many calls, one after another: the median of one call; of processor time the mean. */
async function alone(call) {
  if (isProcessor) {
    const begun = microseconds()
    for (let n = 0; n < CALLS; n += 1) await call(0)
    return (microseconds() - begun) / CALLS
  }
  const times = []
  for (let n = 0; n < CALLS; n += 1) {
    const begun = microseconds()
    await call(0)
    times.push(microseconds() - begun)
  }
  return median(times)
}

/** Fifty at a time: the mean of one call. */
async function together(call) {
  const begun = microseconds()
  await Promise.all(Array.from({ length: 50 }, async (_, caller) => {
    for (let n = 0; n < CALLS / 10; n += 1) await call(caller)
  }))
  return (microseconds() - begun) / (5 * CALLS)
}

/** A check that waits for nothing, many times. */
function now(check) {
  const begun = microseconds()
  for (let n = 0; n < 100_000; n += 1) check()
  return (microseconds() - begun) / 100_000
}

/** Takes turns, so that a busy moment hits everybody. Answers each one's best round. */
async function compared(title, how, calls) {
  const best = Object.fromEntries(Object.keys(calls).map((name) => [name, Infinity]))
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, call] of Object.entries(calls)) best[name] = Math.min(best[name], await how(call))
  }
  console.log(`\n${title}`)
  const [ours, ...others] = Object.keys(calls)
  console.log(`  ${ours.padEnd(34)} ${best[ours].toFixed(2).padStart(8)} µs`)
  for (const name of others) console.log(`  ${name.padEnd(34)} ${best[name].toFixed(2).padStart(8)} µs   ours is ${(best[ours] / best[name]).toFixed(2)} ×`)
}

/** A governed put of one entry a caller, each from the version before. */
async function governed(options) {
  const governance = await Governance.open(options)
  const board = await governance.blackboard('bench', 'ann')
  const versions = []
  const put = async (caller) => {
    const written = await board.putIf('progress', `entry-${caller}`, value, versions[caller] ?? 0)
    versions[caller] = written.accepted
  }
  return { governance, board, put }
}

const folder = mkdtempSync(join(tmpdir(), 'governance-bench-'))
const socket = join(folder, 'redis.sock')
const server = spawn('redis-server', ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder], { stdio: 'ignore' })
try {
  while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 10))
  console.log(`${bun ? `Bun ${bun.version}` : `Node ${process.version}`}, 1 KB: ${JSON.stringify(value).length} bytes, Redis on a unix socket`)

  const io = new Redis(socket)
  const built = bun && new bun.RedisClient(`redis+unix://${socket}`)
  const plain = {
    ...(built && { "Bun's RedisClient: SET": (caller) => built.set(`plain-${caller}`, JSON.stringify(value)) }),
    'ioredis: SET': (caller) => io.set(`io-${caller}`, JSON.stringify(value)),
  }
  const redis = await governed({ home: join(folder, 'redis'), store: `redis+unix://${socket}` })
  await compared('Redis, one caller', alone, { 'governed put': redis.put, ...plain })
  await compared('Redis, 50 callers, a call', together, { 'governed put': redis.put, ...plain })
  await redis.governance.close()

  const file = await governed({ home: join(folder, 'sqlite') })
  const sqlite = bun && new (await import('bun:sqlite')).Database(join(folder, 'plain.db'))
  sqlite?.run('PRAGMA journal_mode = WAL')
  sqlite?.run('PRAGMA synchronous = NORMAL')
  sqlite?.run('CREATE TABLE plain (name TEXT PRIMARY KEY, value TEXT) STRICT')
  const insert = sqlite?.prepare('INSERT OR REPLACE INTO plain VALUES (?, ?)')
  const raw = sqlite && { 'bun:sqlite: INSERT OR REPLACE': async (caller) => insert.run(`plain-${caller}`, JSON.stringify(value)) }
  await compared('the embedded file, one caller', alone, { 'governed put': file.put, ...raw })
  await compared('the embedded file, 50 callers, a call', together, { 'governed put': file.put, ...raw })
  const budget = await file.governance.budget('bench-1')
  await budget.grant('calls', 2 ** 40)
  const share = await budget.allowance('calls', 2 ** 39, 600_000)
  await share.draw(1)
  const agent = await file.governance.agent('alpha', await file.governance.begin('a bench'))
  const { model } = agent
  await compared('checks, that wait for nothing', async (check) => now(check), {
    'agent.check()': () => agent.check(),
    'model.isOpen()': () => model.isOpen(),
    'share.left()': () => share.left(),
    'share.tryDraw(1), on the record': () => share.tryDraw(1),
  })
  const given = ['the quick brown fox', 420, true, 0.5]
  const tool = (text) => text
  const [safe, async] = [agent.govern(tool, { action: 'read_file' }), async (text) => text]
  await compared('a governed call, two entries in a file, four scalar arguments (goal: p50 ≤ 6 µs)', alone, {
    'govern(tool)': () => safe(...given),
    'an async function': () => async(...given),
  })
  await agent.leave()
  sqlite?.close()
  await file.governance.close()

  const memory = await governed({ home: join(folder, 'memory'), store: 'memory:' })
  await compared('in memory: nothing but the way there and back', alone, {
    'governed put': memory.put,
    'an entry read': () => memory.board.entry('progress', 'entry-0'),
    'its JSON, there and back': async () => JSON.parse(JSON.stringify(value)),
  })
  await memory.governance.close()
  built?.close()
  io.disconnect()
} finally {
  server.kill()
  await once(server, 'exit')
  rmSync(folder, { recursive: true, force: true })
}
