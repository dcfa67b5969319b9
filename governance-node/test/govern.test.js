// A governed tool runs after it was allowed and recorded, or not at all; and each end of it is recorded as what it is. Runs under `node --test` and
// under `bun test`.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, readSync, rmSync, symlinkSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { DeadlineError, DeniedError, Governance, govern, InvalidError, RevokedError } from '../index.js'

const folder = mkdtempSync(join(tmpdir(), 'governance-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const constraints = {
  allowed_actions: ['web.search', 'write_file', 'read_file'],
  allowed_targets: ['sandbox-*'],
  forbidden_targets: ['prod-*'],
  allowed_paths: ['notes/**'],
}
const profile = join(folder, 'searcher.json')
writeFileSync(profile, JSON.stringify({ agent_id: 'searcher', agent_version: '1', tier: 'T1', constraints }))

let count = 0

/** A story of an agent of that profile, in a folder of its own. */
const story = (name, tell) =>
  test(name, { timeout: 60_000 }, async () => {
    const home = join(folder, `home-${(count += 1)}`)
    const root = join(home, 'root')
    mkdirSync(join(root, 'notes'), { recursive: true })
    const governance = await Governance.open({ home: join(home, 'home') })
    const agent = await governance.agent(profile, await governance.begin('look something up'), { role: 'alpha', root })
    const told = async () => {
      assert.ok(await governance.catchUp(10_000))
      const { actions } = await governance.ledger.list({ agent: agent.id, action: 'tool_call', limit: 1_000 })
      return actions.map(({ kind, result, payload }) => ({ kind, result, ...JSON.parse(payload) }))
    }
    const ends = async () => (await told()).filter(({ kind }) => kind === 'outcome').map(({ result, code }) => [result, code])
    await agent.act(() => tell({ governance, agent, root, told, ends }))
    await governance.close()
  })

const digest = (canonical) => createHash('sha256').update(canonical).digest('hex')
const action = 'web.search'

story('a tool answers a promise, and each call is recorded', async ({ told }) => {
  function search(query, { limit = 10 } = {}) {
    return [query, limit]
  }
  const safe = govern(search, { action })
  assert.deepEqual([safe.name, safe.length], ['search', 1])
  assert.deepEqual(await safe('cats', { limit: 3 }), ['cats', 3])
  assert.deepEqual(await safe('cats', undefined), ['cats', 10])
  const [intent, outcome, second] = await told()
  assert.deepEqual([intent.kind, intent.verdict, intent.arguments, outcome.result], ['intent', 'allow', digest('["cats",{"limit":3}]'), 'ok'])
  assert.equal(second.arguments, digest('["cats"]'))
  assert.ok(!JSON.stringify(intent).includes('cats'))
})

story('arguments that cannot be said are refused', async () => {
  let ran = false
  const safe = govern(() => (ran = true), { action })
  for (const odd of [() => {}, NaN, 2 ** 60, new Map(), Symbol('x'), 1n, Array(2), { call: () => {} }, Object.defineProperty({}, 'x', { value: 1 })]) await assert.rejects(safe(odd), InvalidError)
  await assert.rejects(safe(undefined, 1), { code: 'not_json' })
  assert.equal(ran, false)
})

story('what is not allowed does not run and says why', async ({ governance, agent }) => {
  const ran = []
  const write = govern(({ host }) => ran.push(host), { action: 'write_file', targetFrom: 'host' })
  await write({ host: 'sandbox-1', text: 'x' })
  await assert.rejects(write({ text: 'x' }), { code: 'unclear_tool' })
  const denied = await write({ host: 'prod-db' }).catch((error) => error)
  assert.ok(denied instanceof DeniedError && denied.code === 'not_allowed', denied.stack)
  assert.equal(denied.details.decision.violation, 'forbidden_target_access')
  await assert.rejects(write({ host: 'sandbox-1' }), RevokedError)
  assert.deepEqual(ran, ['sandbox-1'])
  assert.ok(await governance.revocations.revocationOf(agent.id))
})

story('a failure is counted although nobody waits for that', async ({ agent }) => {
  const thrown = () => {
    throw new TypeError('on purpose')
  }
  await assert.rejects(govern(thrown, { action })(), TypeError)
  const counted = async () => (await agent.budget.faults()).total_errors
  for (const until = Date.now() + 10_000; (await counted()) === 0; await sleep(10)) assert.ok(Date.now() < until, 'it was not counted')
  assert.equal(await counted(), 1)
})

test('without an agent nothing runs', async () => {
  await assert.rejects(govern(() => assert.fail('it ran'), { action })(), { code: 'no_agent', kind: 'denied' })
})

test('a tool that is described wrongly is refused at once', () => {
  const odd = [{}, { action, target: 'a', targetFrom: 0 }, { action, path: 'a', pathFrom: 0 }, { action, opened: 'r' }, { action, pathFrom: 0, opened: 'a' }, { action, tagret: 'a' }]
  const unusable = [{ action: '' }, { action: 'web.*' }, { action: 'wéb' }, { action, target: 'prod%2e' }, { action, targetFrom: -1 }, { action, pathFrom: 0.5 }, { action, targetFrom: '' }]
  for (const options of [...odd, ...unusable]) assert.throws(() => govern(() => {}, options), { code: 'unclear_tool', kind: 'invalid' }, JSON.stringify(options))
  for (const tool of ['tool', class Tool {}]) assert.throws(() => govern(tool, { action }), { code: 'unclear_tool' })
  for (const timeout of [0, -1, NaN, Infinity, 1e30, '10']) {
    assert.throws(() => govern(() => {}, { action, timeout }), (error) => error.code === 'invalid_span' && (timeout < 0 || timeout > 1e20 || /`timeout`/.test(error.message)), String(timeout))
  }
  assert.throws(() => govern(() => {}, { action, timeout: 1e30 }), /9000000000/)
  assert.throws(() => govern(() => {}, { action, approval: 'nope' }), /`nope` is no `approval`/)
})

story('the inner agent acts, and then the outer one again', async ({ governance, agent }) => {
  const [safe, own] = [govern((query) => query, { action }), agent.govern((query) => query, { action })]
  const beta = await governance.agent('beta', agent.pipeline)
  await beta.act(async () => {
    await assert.rejects(safe('cats'), /t0-observer/)
    assert.equal(await own('cats'), 'cats')
  })
  assert.equal(await safe('cats'), 'cats')
})

story('a tool gets the place that its path really leads to', async ({ root, ends }) => {
  symlinkSync('notes', join(root, 'short'))
  const where = govern((file) => file, { action: 'write_file', pathFrom: 0 })
  assert.equal(await where('short/../short/a.md'), join(root, 'notes/a.md'))
  const write = govern(({ file, text }) => writeSync(file, text), { action: 'write_file', pathFrom: 'file', opened: 'w' })
  await write({ file: 'notes/a.md', text: 'wörter' })
  assert.equal(readFileSync(join(root, 'notes/a.md'), 'utf8'), 'wörter')
  const read = govern(async (file) => Buffer.alloc(7, 0).subarray(0, readSync(file, Buffer.alloc(7))).length, { action: 'read_file', pathFrom: 0, opened: 'r' })
  assert.equal(await read('short/a.md'), 7)
  await assert.rejects(read('notes/none.md'), { code: 'file_missing' })
  assert.deepEqual((await ends()).at(-1), ['error', 'file_missing'])
  await assert.rejects(read('../outside'), DeniedError)
  await assert.rejects(read('notes/a.md'), RevokedError)
})

story('what is thrown passes unchanged and is recorded without its words', async ({ told, ends }) => {
  const thrown = [new TypeError('secret'), Object.assign(new Error('secret'), { name: 'TimeoutError' }), 'secret']
  const fails = govern((at) => {
    throw thrown[at]
  }, { action })
  for (const at of thrown.keys()) assert.equal(await fails(at).catch((error) => error), thrown[at])
  assert.deepEqual(await ends(), [['error', 'TypeError'], ['unknown', 'TimeoutError'], ['error', 'error']])
  assert.ok(!JSON.stringify(await told()).includes('secret'))
})

story('a tool that hangs is left alone, and told to stop', async ({ governance, agent, ends }) => {
  const seen = []
  const hangs = govern((how, options) => new Promise(() => options?.signal.addEventListener('abort', () => seen.push(options.signal.reason.code))), {
    action,
    timeout: 150,
    signalIn: 1,
  })
  await assert.rejects(hangs('for long'), (error) => error instanceof DeadlineError && error.code === 'tool_timed_out')
  const slow = govern((span) => sleep(span, 'done'), { action, timeout: 20_000 })
  assert.equal(await slow(200), 'done')
  let runs
  const running = new Promise((resolve) => (runs = resolve))
  const held = assert.rejects(govern(() => new Promise(() => runs()), { action })(), RevokedError)
  await running
  await governance.revocations.revoke(agent.id, 'manual', 'a drill')
  await held
  assert.deepEqual(seen, ['tool_timed_out'])
  assert.deepEqual(await ends(), [['unknown', 'tool_timed_out'], ['ok', undefined], ['unknown', 'revoked']])
})

story('pieces are one call, and whoever stops asking leaves it unknown', async ({ ends }) => {
  const [asked, closed] = [[], []]
  const pages = govern(
    async function* pages(count) {
      try {
        for (let page = 0; page < count; page += 1) {
          asked.push(page)
          yield page
        }
        if (count === 4) throw new RangeError('too many')
        if (count === 5) await new Promise(() => {})
      } finally {
        closed.push(count)
      }
    },
    { action, timeout: 2_000 },
  )
  const all = async (count) => {
    const pieces = []
    for await (const piece of pages(count)) pieces.push(piece)
    return pieces
  }
  assert.deepEqual(await all(3), [0, 1, 2])
  await assert.rejects(all(4), RangeError)
  await assert.rejects(all(5), DeadlineError)
  asked.length = 0
  for await (const piece of pages(3)) if (piece === 0) break
  assert.deepEqual([asked, closed], [[0], [3, 4, 3]], 'nothing is done that nobody asked for')
  assert.deepEqual(await ends(), [['ok', undefined], ['error', 'RangeError'], ['unknown', 'tool_timed_out'], ['unknown', 'cancelled']])
  const late = govern(() => pages(1), { action })
  await assert.rejects(late(), { code: 'unclear_tool' })
})

for (const [kind, generator] of Object.entries({
  async: async function* (first) {
    return yield* talk(first)
  },
  sync: function* (first) {
    return yield* talk(first)
  },
})) {
  story(`what is said to a governed ${kind} generator reaches it, and what it answers at last comes back`, async ({ ends }) => {
    const talks = govern(generator, { action })
    const pieces = talks('hello')
    assert.deepEqual(await pieces.next('nobody hears the first'), { value: 'hello', done: false })
    assert.deepEqual(await pieces.next(5), { value: ['heard', 5], done: false })
    assert.deepEqual(await pieces.throw(new RangeError('no')), { value: ['caught', 'no'], done: false })
    assert.deepEqual(await pieces.next('bye'), { value: 'ended by bye', done: true })
    const unheard = talks('hello')
    await unheard.next()
    const own = new TypeError('not its to handle')
    assert.equal(await unheard.throw(own).catch((error) => error), own)
    const left = talks('tidies up badly')
    await left.next()
    await assert.rejects(left.return(7), /tidied up badly/)
    const quiet = talks('hello')
    await quiet.next()
    assert.deepEqual(await quiet.return(7), { value: 7, done: true })
    assert.deepEqual(await ends(), [['ok', undefined], ['error', 'TypeError'], ['unknown', 'cancelled'], ['unknown', 'cancelled']])
  })
}

function* talk(first) {
  let last
  try {
    last = ['heard', yield first]
    for (;;) {
      try {
        const said = yield last
        return `ended by ${said}`
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        last = ['caught', error.message]
      }
    }
  } finally {
    if (first === 'tidies up badly') throw new Error('tidied up badly')
  }
}

story('what a function answers that does not await is withheld once its agent is revoked', async ({ governance, agent, ends }) => {
  const is = () => {
    try {
      return agent.check() ?? true
    } catch {
      return false
    }
  }
  let revoking
  const blocks = govern(() => {
    revoking = governance.revocations.revoke(agent.id, 'manual', 'a drill')
    // Other threads carry it out.
    for (const until = Date.now() + 10_000; is(); ) assert.ok(Date.now() < until, 'nobody heard of it')
    return 'a secret'
  }, { action })
  const revoked = await blocks().catch((error) => error)
  assert.ok(revoked instanceof RevokedError, String(revoked))
  await revoking
  assert.deepEqual(await ends(), [['unknown', 'revoked']])
})

story('pieces end with their agent', async ({ governance, agent, ends }) => {
  const endless = govern(
    async function* () {
      for (;;) yield await sleep(20, 1)
    },
    { action },
  )
  const pieces = endless()
  await pieces.next()
  await governance.revocations.revoke(agent.id, 'manual', 'a drill')
  await assert.rejects(async () => {
    for await (const _ of pieces);
  }, RevokedError)
  assert.deepEqual(await ends(), [['unknown', 'revoked']])
})

story('a closed handle denies', async ({ governance, agent }) => {
  const safe = agent.govern(() => assert.fail('it ran'), { action })
  await governance.close()
  await assert.rejects(safe(), { code: 'closed' })
})

story('what is changed while it is decided is not run', async ({ ends }) => {
  const ran = []
  const safe = govern((of) => ran.push(of.host), { action: 'write_file', targetFrom: 'host' })
  const of = { host: 'sandbox-1' }
  // What is known of the agent is too old by then, so that the store is asked.
  await sleep(1100)
  const calling = safe(of)
  of.host = 'prod-1'
  await assert.rejects(calling, (error) => error instanceof DeniedError && error.code === 'arguments_changed')
  assert.deepEqual([ran, await ends()], [[], [['error', 'arguments_changed']]])
})

story('what is changed after the call is not what runs', async ({ ends }) => {
  const ran = []
  const safe = govern((of) => ran.push(of.host), { action: 'write_file', targetFrom: 'host' })
  const pages = govern(
    async function* (of) {
      yield of.host
    },
    { action: 'write_file', targetFrom: 'host' },
  )
  // Then what is known of the agent is believed for a moment, and nobody waits: unless this machine is slow, and the change is seen.
  await safe({ host: 'sandbox-1' })
  const refused = ({ code }) => assert.equal(code, 'arguments_changed')
  const of = { host: 'sandbox-2' }
  const calling = safe(of).catch(refused)
  of.host = 'prod-1'
  await calling
  of.host = 'sandbox-2'
  const coming = pages(of).next().catch(refused)
  of.host = 'prod-1'
  ran.push((await coming)?.value ?? 'sandbox-2')
  assert.ok(!ran.includes('prod-1'), ran.join())
  assert.deepEqual((await ends())[0], ['ok', undefined])
})

story('what can read differently the next time is refused', async ({ told }) => {
  const ran = []
  const safe = govern((of) => ran.push(of), { action: 'write_file', targetFrom: 'host' })
  const pages = govern(
    async function* (of) {
      yield ran.push(of)
    },
    { action: 'write_file', targetFrom: 'host' },
  )
  let asked = 0
  const turns = () => ((asked += 1) === 1 ? 'sandbox-1' : 'prod-1')
  const getter = { get host() { return turns() } } // prettier-ignore
  class Host {
    text = 'x'
    get host() {
      return turns()
    }
  }
  class Said {
    host = 'sandbox-1'
    toJSON() {
      return { host: turns() }
    }
  }
  class List extends Array {
    *[Symbol.iterator]() {
      yield turns()
    }
  }
  const proxy = new Proxy({ host: 'sandbox-1' }, { get: (of, name) => (name === 'host' ? turns() : of[name]) })
  const sly = [getter, new Host(), new Said(), proxy, Object.create(proxy, { text: { value: 'x', enumerable: true } })]
  const deep = [getter, proxy, List.of('a'), Object.defineProperty(['sandbox-1'], 0, { get: turns }), Object.assign(new Date(0), { toJSON: turns })]
  for (const of of [...sly, ...deep.map((one) => ({ host: 'sandbox-1', deep: [one] }))]) {
    for (const call of [safe, (given) => pages(given).next()]) {
      await assert.rejects(call(of), (error) => error instanceof InvalidError && ['unsteady_argument', 'not_json'].includes(error.code), String(of))
    }
  }
  await assert.rejects(safe(getter), { code: 'unsteady_argument' })
  await assert.rejects(safe(proxy), { code: 'unsteady_argument' })
  assert.deepEqual([ran, asked, await told()], [[], 0, []])
  class Plain {
    host = 'sandbox-1'
    at = new Date(0)
    where = new URL('https://example.org/')
    none = undefined
    list = [[], {}, null, Object.create(null)]
    shout() {
      return this.host.toUpperCase()
    }
  }
  const plain = new Plain()
  await safe(plain)
  assert.ok(ran[0] === plain)
})

test('what a tool asks for is looked at when it is governed', () => {
  for (const options of [{ timeout: '10' }, { timeout: -1 }, { timeout: NaN }, { waiting: '1s' }, { approval: 7 }, { countingFailures: 'no' }, { signalIn: '0' }]) {
    assert.throws(() => govern(() => {}, { action, ...options }), InvalidError, JSON.stringify(options))
  }
})

story('a tool whose failures do not count may fail', async ({ agent, ends }) => {
  const fails = (message) => {
    throw new TypeError(message)
  }
  const [free, counted] = [govern(fails, { action, countingFailures: false }), govern(fails, { action })]
  for (let n = 0; n < 12; n += 1) await assert.rejects(free('again'), TypeError)
  agent.check()
  assert.equal((await agent.budget.faults()).total_errors, 0)
  await assert.rejects(counted('again'), TypeError)
  for (const until = Date.now() + 10_000; (await agent.budget.faults()).total_errors === 0; await sleep(10)) assert.ok(Date.now() < until)
  assert.deepEqual(await ends(), Array(13).fill(['error', 'TypeError']))
})

story('what runs only when it is read is refused, and so is what JSON would hide', async () => {
  function* pages() {
    yield assert.fail('it does not run')
  }
  for (const lazy of [() => pages(), () => new ReadableStream()]) {
    await assert.rejects(govern(lazy, { action })(), (error) => error.code === 'unclear_tool')
  }
  const safe = govern(() => assert.fail('it does not run'), { action })
  class Hidden {
    #key = 'secret'
    key = () => this.#key
  }
  for (const odd of [/x/, new Error('x'), Promise.resolve(), new WeakMap(), new Hidden(), { deep: [new Set()] }]) {
    await assert.rejects(safe(odd), (error) => error.code === 'not_json', String(odd))
  }
})

story('no stop is confirmed while a tool runs', async ({ governance }) => {
  let end
  const deaf = () => new Promise((resolve) => (end = resolve))
  await assert.rejects(govern(deaf, { action, timeout: 50 })(), DeadlineError)
  const stop = await governance.revocations.stopAll('a drill')
  let overdue
  // As soon as this process has said so.
  for (const until = Date.now() + 20_000; !overdue?.unfinished.length; ) {
    assert.ok(Date.now() < until, 'nobody said what is waited for')
    ;[overdue] = (await governance.revocations.confirmed(stop.generation, 500)).receipts
  }
  assert.deepEqual([overdue.state, overdue.unfinished[0].what], ['overdue', 'a tool'])
  end()
  const [confirmed] = (await governance.revocations.confirmed(stop.generation, 30_000)).receipts
  assert.equal(confirmed.state, 'confirmed')
})
