// Turns a table of what a concept can do into its class. Each method hands its arguments to the core as one JSON text, by name, and answers
// with what the core's text says; nothing is decided here.

import { ask } from './desk.js'
import { call, callAsync, mended, RevokedError } from './errors.js'
import { named } from './json.js'
import { native } from './native.js'
import { Stream } from './stream.js'

const handle = (of, opened) => (opened === undefined || opened === null ? null : new (of())(opened))
const read = (answer) => (answer ? JSON.parse(answer) : undefined)

/**
 * The class of a concept, from names of parameters; optional ones come last, in an object.
 *
 * - `methods`: answer a promise of a value
 * - `handles`: answer a promise of another concept: `{ blackboard: [() => Blackboard, ['task', 'author']] }`
 * - `streams`: answer an async iterator; of values, or of the handles that `items` names
 * - `checks`: answer at once, with what the core's function answers
 * - `properties`: are there; `values` are those that JSON says, `parts` are other concepts that are there
 * - `opens`: static ways to get one
 * - `own`: functions of JavaScript's own: `{ govern: (held) => function (tool) { … } }`, where `held(self)` is the native half
 * - `disposal`: the method that ends it, for `await using`
 */
export const concept = (name, table) => {
  const { opens = {}, methods = {}, handles = {}, streams = {}, items = {}, checks = [], properties = [], values = [], parts = {}, own = {}, disposal } = table
  let held
  const Concept = {
    [name]: class {
      #native
      #parts = {}

      constructor(opened) {
        if (!(opened instanceof native[name])) throw new TypeError(`a ${name} is opened, not made: see the documentation`)
        this.#native = opened
      }

      static {
        held = (self) => self.#native
        for (const [part, of] of Object.entries(parts)) {
          Object.defineProperty(this.prototype, part, {
            get() {
              return (this.#parts[part] ??= new (of())(call(() => this.#native[part])))
            },
          })
        }
      }
    },
  }[name]
  const define = (on, method, value) => Object.defineProperty(on, method, { value, writable: true, configurable: true })
  const { prototype } = Concept
  for (const [method, names] of Object.entries(methods)) {
    define(prototype, method, async function (...given) {
      try {
        const told = ask(held(this), method, named(names, given))
        return read(typeof told === 'string' ? told : await told)
      } catch (error) {
        throw mended(error)
      }
    })
  }
  for (const [method, [of, names]] of Object.entries(handles)) {
    define(prototype, method, function (...given) {
      return callAsync(async () => handle(of, await held(this)[method](named(names, given))))
    })
  }
  for (const [method, names] of Object.entries(streams)) {
    define(prototype, method, function (...given) {
      const item = items[method] ? (opened) => handle(items[method], opened) : read
      return new Stream(callAsync(async () => held(this)[method](named(names, given))), item)
    })
  }
  for (const check of checks) {
    const own = native[name].prototype[check]
    // Without `call`: it is asked before every step of hot loops.
    define(prototype, check, function (given) {
      try {
        return own.call(held(this), given)
      } catch (error) {
        throw mended(error)
      }
    })
  }
  for (const property of properties) {
    Object.defineProperty(prototype, property, {
      get() {
        return call(() => held(this)[property])
      },
    })
  }
  for (const value of values) {
    Object.defineProperty(prototype, value, {
      get() {
        return call(() => read(held(this)[value]))
      },
    })
  }
  for (const [open, names] of Object.entries(opens)) {
    define(Concept, open, (...given) => callAsync(async () => new Concept(await native[name][open](named(names, given)))))
  }
  for (const [method, make] of Object.entries(own)) define(prototype, method, make(held))
  if (disposal) {
    define(prototype, Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose'), async function () {
      try {
        await this[disposal]()
      } catch (error) {
        // Who is revoked holds nothing any more, and what was closed has let go of everything.
        if (!(error instanceof RevokedError) && error?.code !== 'closed') throw error
      }
    })
  }
  return Concept
}
