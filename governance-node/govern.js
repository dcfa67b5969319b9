// Governing a tool: the same function, but each call of it is decided, recorded, checked again, run, and recorded again.

import { AsyncLocalStorage } from 'node:async_hooks'
import { closeSync } from 'node:fs'

import { call, DeniedError, InvalidError, mended } from './errors.js'
import { text } from './json.js'

/** How many milliseconds a tool runs before its time and its agent's admission are watched: most are done by then. */
const LOOK = 100
/** How many milliseconds a stream that was dropped may still tidy up. */
const GRACE = 1_000

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
  const odd = given.slice(0, count).findIndex((value) => ['undefined', 'function', 'symbol'].includes(typeof value))
  if (odd >= 0) {
    const message = `the argument ${odd} is ${typeof given[odd]}, which cannot be recorded: bind it before the tool is governed`
    throw new InvalidError(message, { kind: 'invalid', code: 'not_json' })
  }
  return text(count === given.length ? given : given.slice(0, count))
}

const kinds = { AsyncGeneratorFunction: 'stream', GeneratorFunction: 'pieces' }
const kindOf = (tool) => kinds[tool.constructor?.name] ?? 'plain'

const check = (tool, options) => {
  if (typeof tool !== 'function') throw unclear(`a tool is a function, not ${typeof tool}`)
  if (kindOf(tool) === 'pieces') throw unclear('a generator function answers before it has run: make it an `async function*`')
  const { action, target, targetFrom, path, pathFrom, opened, timeout, waiting, approval, risks, signalIn, ...others } = options ?? {}
  for (const name of Object.keys(others)) throw unclear(`there is no option \`${name}\``)
  if (typeof action !== 'string') throw unclear('`action` says what the tool does: it takes a text')
  if (target !== undefined && targetFrom !== undefined) throw unclear('`target` and `targetFrom` exclude each other')
  if (path !== undefined && pathFrom !== undefined) throw unclear('`path` and `pathFrom` exclude each other')
  if (risks !== undefined && !(Array.isArray(risks) && risks.every((risk) => typeof risk === 'string'))) throw unclear('`risks` takes a list of texts')
  if (opened !== undefined && (!['r', 'w', 'x'].includes(opened) || pathFrom === undefined)) throw unclear('`opened` is one of r, w, x, and needs `pathFrom`')
}

/** One call of a tool, from its begin to its end. */
class Call {
  constructor(native, number) {
    Object.assign(this, { native, number, fd: undefined })
  }

  static async begin(native, options, given) {
    const { action, target, targetFrom, path, pathFrom, timeout, waiting, approval, risks } = options
    const on = targetFrom === undefined ? target : said('targetFrom', targetFrom, given)
    const at = pathFrom === undefined ? path : said('pathFrom', pathFrom, given)
    const told = listed(given)
    try {
      // What has risks is asked for anew each time.
      const number = risks?.length > 0 ? 0 : native.tryBegin(action, on, at, told, timeout)
      if (number > 0) return new Call(native, number)
      const asked = { action, target: on, path: at, given: told, within: timeout, waiting, approval, risks }
      return new Call(native, await native.begin(JSON.stringify(asked)))
    } catch (error) {
      throw mended(error)
    }
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
    call(() => this.native.callDone(this.number))
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

  lost(code) {
    try {
      this.native.callLost(this.number, code)
    } catch {
      // The same.
    }
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

const plain = (tool, options, nativeOf) =>
  async function (...given) {
    const begun = await Call.begin(nativeOf(), options, given)
    const stop = options.signalIn === undefined ? undefined : new AbortController()
    let result
    try {
      result = tool.apply(this, heard(options.signalIn, begun.placed(options, given), stop))
      if (typeof result?.then === 'function') result = await begun.watched(result, options.timeout, stop)
      if (Object.prototype.toString.call(result) === '[object AsyncGenerator]') {
        throw unclear('the tool answers an async generator: govern the `async function*` itself')
      }
    } catch (error) {
      begun.thrown(error)
      throw error
    } finally {
      begun.close()
    }
    begun.done()
    return result
  }

const streamed = (tool, options, nativeOf) =>
  async function* (...given) {
    const begun = await Call.begin(nativeOf(), options, given)
    const stop = options.signalIn === undefined ? undefined : new AbortController()
    let [pieces, ended] = [undefined, false]
    try {
      pieces = tool.apply(this, heard(options.signalIn, begun.placed(options, given), stop))
      const over = begun.over(0, stop)
      over.catch(() => {})
      for (;;) {
        const { done, value } = await Promise.race([pieces.next(), over])
        if (done) break
        await begun.admitted()
        yield value
      }
      ended = true
    } catch (error) {
      begun.thrown(error)
      ended = true
      throw error
    } finally {
      if (!ended) begun.lost('cancelled')
      if (!ended) stop?.abort()
      await tidied(pieces)
      begun.close()
    }
    begun.done()
  }

/** Ends an iterator, and waits a moment for it to tidy up. One that does not come back is left alone. */
const tidied = async (pieces) => {
  let timer
  const late = new Promise((resolve) => (timer = setTimeout(resolve, GRACE)))
  await Promise.race([Promise.resolve(pieces?.return()).catch(() => {}), late])
  clearTimeout(timer)
}

/** The tool, governed by whichever agent `nativeOf` answers. */
export const governed = (tool, options, nativeOf) => {
  check(tool, options)
  const wrapped = (kindOf(tool) === 'stream' ? streamed : plain)(tool, { ...options }, nativeOf)
  return Object.defineProperties(wrapped, { name: { value: tool.name, configurable: true }, length: { value: tool.length, configurable: true } })
}

export const governing = (nativeOf) => (tool, options) => governed(tool, options, () => nativeOf(current()))
