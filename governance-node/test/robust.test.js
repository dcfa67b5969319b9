// Whatever is given or happens: an error of our own or a clean end, never a crash, a hang or another number. Under `node --test` and `bun test`.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Worker } from 'node:worker_threads'

import { Governance, GovernanceError, InvalidError } from '../index.js'

const folder = mkdtempSync(join(tmpdir(), 'governance-'))
let homes = 0
const opened = () => Governance.open({ home: join(folder, `home-${(homes += 1)}`) })
let gov, board, bus, budget

before(async () => {
  gov = await opened()
  board = await gov.blackboard('t', 'ann')
  bus = await gov.bus('t', 'ann')
  await bus.join()
  budget = await gov.budget('spender')
  await budget.grant('calls', 1_000_000)
})
after(async () => {
  await gov.close()
  rmSync(folder, { recursive: true, force: true })
})

const refused = (promise, code) => assert.rejects(promise, (error) => error instanceof InvalidError && error.code === code, code)
const circle = () => {
  const made = { list: [] }
  made.list.push(made)
  return made
}
const deep = (levels) => JSON.parse('['.repeat(levels) + ']'.repeat(levels))

test('what JSON cannot say, or would change without a word, is refused', async () => {
  const odd = [NaN, Infinity, 1n, undefined, () => 1, Symbol('s'), circle(), Buffer.from('bytes'), new Uint8Array([1]), new ArrayBuffer(2), new Map([[1, 2]]), new Set([1])]
  for (const content of odd) {
    await refused(board.post('problem', 'odd', content), 'not_json')
    await refused(bus.send('ann', { deep: [content] }), 'not_json')
  }
  const throws = { toJSON: () => { throw new Error('inside a callback') } }
  await refused(board.post('problem', 'odd', throws), 'not_json')
  await refused(board.post('problem', 'odd', { get broken() { throw new Error('inside a getter') } }), 'not_json')
  await refused(board.post('problem', 'odd', '\ud800'), 'not_json')
  await refused(board.post('problem', 'odd', deep(100_000)), 'not_json')
  await refused(board.post('problem', 'odd', deep(200)), 'not_json')
  assert.deepEqual(await board.entries('problem'), [])
})

test('a number that JavaScript cannot hold exactly is an error', async () => {
  for (const number of [2 ** 53, -(2 ** 53), 2 ** 60, { deep: [2 ** 53] }]) await refused(board.post('problem', 'number', number), 'number_too_large')
  for (const number of [2 ** 53, -1, 0.5, '1', null, true, {}, [1]]) {
    await refused(budget.spend('calls', number), 'not_whole')
    await refused(board.removeIf('problem', 'x', number), 'not_whole')
    // Null is an option that is left out.
    if (number !== null) await refused(gov.ledger.list({ after: number }), 'not_whole')
  }
  for (const span of [-1, '1', true, 1e300]) await refused(gov.catchUp(span), 'invalid_span')
  assert.equal(await board.post('problem', 'largest', Number.MAX_SAFE_INTEGER), 1)
  assert.equal((await board.entry('problem', 'largest')).content, Number.MAX_SAFE_INTEGER)
})

test('arguments of another kind, unknown options and too many arguments are refused', async () => {
  for (const section of [1, {}, [], null, true]) await refused(board.post(section, 'name', 1), 'wrong_shape')
  await refused(board.post('problem', { toString: () => 'name' }, 1), 'wrong_shape')
  await refused(board.post('problem', undefined, 1), 'not_json')
  await refused(board.post(), 'not_json')
  await refused(bus.join({ capcity: 5 }), 'wrong_shape')
  await refused(bus.join({ overflow: 'explode' }), 'wrong_shape')
  await refused(bus.join('options'), 'wrong_shape')
  await refused(bus.acknowledge({}), 'wrong_shape')
  await refused(bus.acknowledge(5), 'wrong_shape')
  await refused(budget.settle({ id: 'x' }, 1), 'wrong_shape')
  await refused(board.entries('problem', { sorted: true }), 'wrong_shape')
  await refused(board.events({ after: { lineage: -1, position: 0 } }).next(), 'wrong_shape')
  await refused(Governance.open({ hoem: 'x' }), 'wrong_shape')
  await refused(Governance.open({ home: 5 }), 'wrong_shape')
  await refused(gov.ledger.verify({ head: { size: 1 } }), 'wrong_shape')
})

test('nobody makes a handle, or calls a method of another class on it', async () => {
  assert.throws(() => new Governance(), TypeError)
  assert.throws(() => new (board.constructor)({}), TypeError)
  await assert.rejects(board.post.call(bus, 'problem', 'x', 1), TypeError)
  await assert.rejects(board.post.call({}, 'problem', 'x', 1), TypeError)
})

test('ten megabytes are refused by name, and one comes back whole', async () => {
  const large = 'x'.repeat(10_000_000)
  await assert.rejects(board.post('problem', 'large', large), (error) => error instanceof GovernanceError && error.code === 'value_too_large')
  await assert.rejects(bus.send('ann', large), { code: 'message_too_large' })
  const whole = { text: 'é'.repeat(400_000) }
  await board.post('problem', 'whole', whole)
  assert.deepEqual((await board.entry('problem', 'whole')).content, whole)
  await assert.rejects(board.post('x'.repeat(10_000_000), 'name', 1), InvalidError)
})

test('a closed handle says so, and so does everything that came from it', { timeout: 20_000 }, async () => {
  const other = await opened()
  const [otherBoard, otherBus, otherBudget] = [await other.blackboard('t', 'ann'), await other.bus('t', 'ann'), await other.budget('b')]
  await otherBus.join()
  const { revocations, ledger } = other
  await otherBudget.grant('calls', 5)
  const share = await otherBudget.allowance('calls', 1, 1_000)
  const waiting = [otherBus.receive(), otherBoard.events({ after: { lineage: 0, position: 0 } }).next(), otherBus.signals().next()]
  const told = Promise.all(waiting.map((each) => refused(each, 'closed')))
  await other.close()
  await other.close()
  await told
  for (const late of [
    () => otherBoard.post('problem', 'late', 1),
    () => otherBus.take(),
    () => otherBudget.spend('calls', 1),
    () => share.draw(1),
    () => revocations.stopAll('late'),
    () => ledger.head(),
    () => other.blackboard('t', 'ann'),
    () => other.budget('b'),
    () => otherBoard.events().next(),
    () => otherBus.messages().next(),
  ]) await refused(late(), 'closed')
})

test('a stream ends for whoever waits, and a loop that is left ends its stream', { timeout: 20_000 }, async () => {
  const events = board.events({ after: { lineage: 0, position: 0 } })
  for await (const event of events) {
    assert.equal(event.position, 1)
    break
  }
  assert.deepEqual(await events.next(), { done: true, value: undefined })
  const idle = bus.messages()
  const waits = [idle.next(), idle.next()]
  await idle.return()
  assert.deepEqual(await Promise.all(waits), [{ done: true, value: undefined }, { done: true, value: undefined }])
})

test('a signal is heard by who listens', { timeout: 20_000 }, async () => {
  const heard = bus.signals()
  const next = heard.next()
  let said
  // It may be lost while nobody listens yet.
  const again = setInterval(() => bus.signal('psst').catch(() => {}), 10)
  try {
    said = await next
  } finally {
    clearInterval(again)
  }
  assert.deepEqual([said.value.body, said.value.from, said.value.to], ['psst', 'ann', null])
  await heard.return()
})

test('a request is answered while it waits', { timeout: 20_000 }, async () => {
  const bob = await gov.bus('t', 'bob')
  await bob.join()
  const answers = (async () => {
    for await (const delivery of bob.messages()) {
      await bob.reply(delivery, { doubled: delivery.message.body * 2 })
      await bob.acknowledge(delivery)
      return
    }
  })()
  const answer = await bus.request('bob', 21, 10_000)
  await answers
  assert.deepEqual(answer.body, { doubled: 42 })
})

test('worker threads work, one after another and at once, and may end in the middle', { timeout: 60_000 }, async () => {
  const home = join(folder, 'workers')
  const run = (number, close) =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: { home, number, close } })
      let version
      worker.on('message', (message) => (version = message))
      worker.on('error', reject)
      worker.on('exit', () => resolve(version))
    })
  assert.equal(await run(1, true), 1)
  assert.deepEqual(await Promise.all([2, 3, 4].map((number) => run(number, true))), [1, 1, 1])
  assert.equal(await run(5, false), 1)
  assert.equal(await board.post('progress', 'after-the-workers', 1), 1)
})

test('a hundred thousand calls leave memory as it was', { timeout: 120_000 }, async () => {
  const lasting = await Governance.open({ home: join(folder, 'memory'), store: 'memory:' })
  const one = await lasting.blackboard('t', 'ann')
  await one.post('progress', 'entry', { text: 'x'.repeat(100) })
  const calls = async (count) => {
    for (let n = 0; n < count; n += 50) await Promise.all(Array.from({ length: 50 }, () => one.entry('progress', 'entry')))
  }
  const now = () => {
    globalThis.gc?.()
    globalThis.Bun?.gc(true)
    return process.memoryUsage().rss / 2 ** 20
  }
  await calls(30_000)
  const before = now()
  await calls(100_000)
  const grown = now() - before
  await lasting.close()
  assert.ok(grown < 24, `${grown.toFixed(1)} MB more after 100,000 calls`)
})
