// Governing a tool: the same function, but each call of it is decided, recorded, checked again, run, and recorded again.

import { AsyncLocalStorage } from 'node:async_hooks'
import { closeSync } from 'node:fs'

import { call, callAsync, DeniedError, InvalidError, mended } from './errors.js'
import { text } from './json.js'
import { native as core } from './native.js'
import { steady } from './steady.js'

/** How many milliseconds a tool runs before its time and its agent's admission are watched: most are done by then. */
const LOOK = 100
/** How many milliseconds a stream that was dropped may still tidy up. */
const GRACE = 1_000

/** What has not run yet when it is answered. */
const LAZY = ['AsyncGenerator', 'Generator', 'ReadableStream']

const acting = new AsyncLocalStorage()

/** Does something as an agent: the tools that are called meanwhile are its. */
export const act = (agent, work) => acting.run(agent, work)

const unclear = (why) => new InvalidError(why, { kind: 'invalid', code: 'unclear_tool' })

const current = () => {
  const agent = acting.getStore()
  if (agent !== undefined) return agent
  const message = 'no agent acts here: call the tool inside `agent.act(…)`, or govern it by `agent.govern`'
  throw new DeniedError(message, { kind: 'denied', code: 'no_agent' })
}

/** Where something stands among a call's arguments: at a position, or in the first one under a name. */
const said = (what, from, given) => {
  const value = typeof from === 'number' ? given[from] : given[0]?.[from]
  if (typeof value !== 'string') throw unclear(`\`${what}\`: the argument \`${from}\` says what is touched: it takes a text`)
  return value
}

/** What a call would touch, and with what. */
const touched = ({ target, targetFrom, path, pathFrom }, given) => {
  // First: what stands among the arguments is read from what reads the same each time.
  const all = listed(given)
  return {
    target: targetFrom === undefined ? target : said('targetFrom', targetFrom, given),
    path: pathFrom === undefined ? path : said('pathFrom', pathFrom, given),
    given: all,
  }
}

const put = (from, given, value) => {
  const args = [...given]
  if (typeof from === 'number') args[from] = value
  else args[0] = { ...args[0], [from]: value }
  return args
}

/** The text of a call's arguments. Those that are left out at the end are not said. */
const listed = (given) => {
  let count = given.length
  while (count > 0 && given[count - 1] === undefined) count -= 1
  const all = count === given.length ? given : given.slice(0, count)
  steady(all)
  return JSON.stringify(all)
}

const GENERATORS = ['AsyncGeneratorFunction', 'GeneratorFunction']
const isStream = (tool) => GENERATORS.includes(tool.constructor?.name)

/** A number of milliseconds; the core says how many. */
const spanned = (name, span) => {
  if (span === undefined || Number.isFinite(span)) return
  throw new InvalidError(`\`${name}\`: \`${String(span)}\` is no span: it takes milliseconds`, { kind: 'invalid', code: 'invalid_span' })
}

const isPlace = (from) => (typeof from === 'string' ? from !== '' : Number.isSafeInteger(from) && from >= 0)

const check = (tool, options) => {
  if (typeof tool !== 'function') throw unclear(`a tool is a function, not ${typeof tool}`)
  if (/^class\b/.test(Function.prototype.toString.call(tool))) throw unclear('a tool is a function: a class cannot be called')
  const { action, target, targetFrom, path, pathFrom, opened, timeout, waiting, approval, risks, countingFailures, signalIn, ...others } = options
  for (const name of Object.keys(others)) throw unclear(`there is no option \`${name}\``)
  if (typeof action !== 'string') throw unclear('`action` says what the tool does: it takes a text')
  if (target !== undefined && targetFrom !== undefined) throw unclear('`target` and `targetFrom` exclude each other')
  if (path !== undefined && pathFrom !== undefined) throw unclear('`path` and `pathFrom` exclude each other')
  for (const [name, from] of Object.entries({ targetFrom, pathFrom })) {
    if (from !== undefined && !isPlace(from)) throw unclear(`\`${name}\` is the position of an argument, from 0, or a name in the first one`)
  }
  spanned('timeout', timeout)
  spanned('waiting', waiting)
  if (risks !== undefined && !(Array.isArray(risks) && risks.every((risk) => typeof risk === 'string'))) throw unclear('`risks` takes a list of texts')
  if (opened !== undefined && (!['r', 'w', 'x'].includes(opened) || pathFrom === undefined)) throw unclear('`opened` is one of r, w, x, and needs `pathFrom`')
  if (signalIn !== undefined && !(Number.isSafeInteger(signalIn) && signalIn >= 0)) throw unclear('`signalIn` is the position of an argument')
  // The terms of every call of it: what is wrong with them is told now.
  const terms = text({ action, target, within: timeout, waiting, approval, risks, countingFailures })
  return { terms, native: call(() => new core.Tool(terms)) }
}

/** One call of a tool, from its begin to its end. */
class Call {
  constructor(native, number) {
    this.native = native
    this.number = number
    this.fd = undefined
    this.left = false
  }

  /** Begins without waiting; none where that cannot be. */
  static now(native, described, asked) {
    try {
      const number = native.tryBegin(described.native, asked.given, asked.target, asked.path)
      return number > 0 ? new Call(native, number) : undefined
    } catch (error) {
      throw mended(error)
    }
  }

  /** Begins, and waits for that. */
  static begin(native, described, asked) {
    return callAsync(async () => new Call(native, await native.begin(described.terms, JSON.stringify(asked))))
  }

  /** Refuses if the tool would be called with anything else than what was decided on: whoever waits leaves others time to change it. */
  same(asked, options, given) {
    const now = touched(options, given)
    if (now.target === asked.target && now.path === asked.path && now.given === asked.given) return
    call(() => this.native.callChanged(this.number))
  }

  /** What the tool is called with: the place that was checked instead of the path that was asked for. */
  placed({ pathFrom, opened }, given) {
    if (pathFrom === undefined) return given
    return call(() => {
      if (opened === undefined) return put(pathFrom, given, this.native.callPath(this.number))
      this.fd = this.native.callOpen(this.number, opened)
      return put(pathFrom, given, this.fd)
    })
  }

  close() {
    if (this.fd === undefined) return
    try {
      closeSync(this.fd)
    } catch {
      // The tool has closed it.
    }
  }

  done() {
    try {
      this.native.callDone(this.number)
    } catch (error) {
      throw mended(error)
    }
  }

  /** Never in the way of what was thrown, nor with its words: they may hold its arguments. */
  thrown(error) {
    const code = String(error?.code ?? error?.name ?? 'error')
    const late = ['AbortError', 'TimeoutError'].includes(error?.name) || ['unavailable', 'deadline'].includes(error?.kind)
    try {
      if (late) this.native.callLost(this.number, code)
      else this.native.callFailed(this.number, code)
    } catch {
      // The intent is there, and ends unknown.
    }
  }

  /** Nobody knows what it did, and it may go on: until it has ended its process confirms no stop. */
  lost(code) {
    try {
      this.native.callLeft(this.number, code)
      this.left = true
    } catch {
      // The same.
    }
  }

  /** Tells that what was left behind has ended, when it has. */
  gone(work) {
    if (!this.left) return
    const gone = () => this.native.callGone(this.number)
    Promise.resolve(work).then(gone, gone)
  }

  /** Rejects when the call has to end, and then it has. */
  over(gone, stop) {
    return new Promise((_, reject) => {
      this.native.callOver(this.number, gone).catch((failed) => {
        const why = mended(failed)
        this.lost(why.code)
        stop?.abort(why)
        reject(why)
      })
    })
  }

  /** Whether the agent is still admitted, before a piece is handed out. */
  async admitted() {
    try {
      if (!this.native.callIsAdmitted(this.number)) await this.native.callCheck(this.number)
    } catch (failed) {
      const why = mended(failed)
      this.lost(why.code)
      throw why
    }
  }

  /** Waits for a tool, or for why it has to end. */
  watched(work, timeout, stop) {
    let timer
    const gone = Math.min(LOOK, timeout ?? LOOK)
    const over = new Promise((_, reject) => {
      timer = setTimeout(() => this.over(gone, stop).catch(reject), gone)
    })
    return Promise.race([work, over]).finally(() => clearTimeout(timer))
  }
}

const heard = (signalIn, args, stop) => (signalIn === undefined ? args : put(signalIn, args, { ...args[signalIn], signal: stop.signal }))

// INVARIANT: between the decision and the tool nobody else runs, or the arguments are looked at again: they are whoever called's, who may change them.

const plain = (tool, options, described, nativeOf) =>
  async function (...given) {
    const native = nativeOf()
    const asked = touched(options, given)
    let begun = Call.now(native, described, asked)
    if (begun === undefined) (begun = await Call.begin(native, described, asked)).same(asked, options, given)
    const stop = options.signalIn === undefined ? undefined : new AbortController()
    let [result, work] = [undefined, undefined]
    try {
      result = tool.apply(this, heard(options.signalIn, begun.placed(options, given), stop))
      if (typeof result?.then === 'function') {
        work = result
        result = await begun.watched(work, options.timeout, stop)
      }
      // Before anybody asks for a piece, none of it has run.
      const kind = typeof result === 'object' && result !== null ? Object.prototype.toString.call(result).slice(8, -1) : ''
      if (LAZY.includes(kind)) throw unclear(`the tool answers a ${kind}, which runs when it is read: make the tool an \`async function*\` that reads it`)
    } catch (error) {
      begun.thrown(error)
      throw error
    } finally {
      begun.close()
      begun.gone(work)
    }
    begun.done()
    return result
  }

const streamed = (tool, options, described, nativeOf) =>
  async function* (...given) {
    const native = nativeOf()
    const asked = touched(options, given)
    let begun = Call.now(native, described, asked)
    if (begun === undefined) (begun = await Call.begin(native, described, asked)).same(asked, options, given)
    const stop = options.signalIn === undefined ? undefined : new AbortController()
    let [pieces, how, ended, result] = [undefined, 'next', false, undefined]
    try {
      pieces = tool.apply(this, heard(options.signalIn, begun.placed(options, given), stop))
      const over = begun.over(0, stop)
      over.catch(() => {})
      for (let [isFirst, said] = [true, undefined]; ; isFirst = false) {
        // Before it goes on, and before what it made meanwhile is handed out. It begins at once: what was decided on is still what it was.
        if (!isFirst) await Promise.race([over, begun.admitted()])
        const { done, value } = await Promise.race([pieces[how](said), over])
        if (done) {
          result = value
          break
        }
        await begun.admitted()
        // Who asks no more leaves from here.
        how = 'return'
        try {
          said = yield value
          how = 'next'
        } catch (error) {
          // The tool's to handle.
          said = error
          how = 'throw'
        }
      }
      ended = true
    } catch (error) {
      begun.thrown(error)
      ended = true
      throw error
    } finally {
      if (!ended) begun.lost('cancelled')
      if (!ended) stop?.abort()
      let failed
      const back = returned(pieces).catch((error) => (failed = [error]))
      await soon(back)
      begun.close()
      begun.gone(back)
      // Nothing else is on its way out.
      if (how === 'return' && !ended && failed !== undefined) throw failed[0]
    }
    begun.done()
    return result
  }

/** Has an iterator tidy up. */
const returned = async (pieces) => pieces?.return()

/** Waits a moment for an iterator to tidy up. One that does not come back is left alone. */
const soon = async (back) => {
  let timer
  const late = new Promise((resolve) => (timer = setTimeout(resolve, GRACE)))
  await Promise.race([back, late])
  clearTimeout(timer)
}

/** The tool, governed by whichever agent `nativeOf` answers. */
export const governed = (tool, options, nativeOf) => {
  // Read once: what is checked here is what holds for every call.
  const own = { ...options }
  if (Array.isArray(own.risks)) own.risks = [...own.risks]
  const described = check(tool, own)
  const wrapped = (isStream(tool) ? streamed : plain)(tool, own, described, nativeOf)
  return Object.defineProperties(wrapped, { name: { value: tool.name, configurable: true }, length: { value: tool.length, configurable: true } })
}

export const governing = (nativeOf) => (tool, options) => governed(tool, options, () => nativeOf(current()))
