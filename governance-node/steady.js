// What a tool is called with reads the same each time: then what was decided on is what it is given. Whatever runs code when it is read is refused,
// and whatever JSON would leave out or change without a word.

import { types } from 'node:util'

import { InvalidError } from './errors.js'

// As deep as the core reads; a value that holds itself ends here.
const MAX_DEPTH = 120

/** Builtins that say themselves as text, by functions of their own. */
const SAID = [Date.prototype, URL.prototype]

const refusal = (code, message) => new InvalidError(message, { kind: 'invalid', code })

const lost = (at, why) =>
  refusal('not_json', `the argument ${at} ${why}, which cannot be recorded: bind it before the tool is governed, or say it as text, lists or objects`)

const unsteady = (at, why) => refusal('unsteady_argument', `the argument ${at} can read differently each time: ${why}; give it as text, lists or objects`)

/** Refuses what is not the same whenever it is read, among a call's arguments. */
export const steady = (given) => {
  for (let at = 0; at < given.length; at += 1) one(given[at], at, 0)
}

function one(value, at, depth) {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (!Number.isFinite(value)) throw lost(at, `is ${value}`)
      return
    case 'object':
      if (value !== null) whole(value, at, depth + 1)
      return
    default:
      throw lost(at, `is ${typeof value}`)
  }
}

function whole(value, at, depth) {
  if (depth > MAX_DEPTH) throw lost(at, 'is nested too deeply')
  if (types.isProxy(value)) throw unsteady(at, 'it is a Proxy')
  const own = Object.getOwnPropertyDescriptors(value)
  const isList = Array.isArray(value)
  for (const key of Reflect.ownKeys(own)) {
    const { value: item, enumerable, get, set } = own[key]
    if (get !== undefined || set !== undefined) throw unsteady(at, `\`${String(key)}\` is an accessor`)
    if (typeof key === 'symbol' ? typeof item === 'function' : !enumerable && !(isList && key === 'length')) throw lost(at, `hides \`${String(key)}\``)
    // What is undefined in an object is not there, for JSON and for who reads it.
    if (typeof key === 'symbol' || (item === undefined && !isList)) continue
    one(item, at, depth)
  }
  if (isList) {
    for (let place = 0; place < value.length; place += 1) {
      if (own[place] === undefined) throw lost(at, 'is a list with holes')
    }
    inherited(value, at, isPlainList)
    return
  }
  inherited(value, at, isPlain)
}

const isPlainList = (from) => from === Array.prototype || (Array.isArray(from) && Object.getPrototypeOf(Object.getPrototypeOf(from)) === null)
const isPlain = (from) => from === Object.prototype || from === null

/** What an object has from its class. */
function inherited(value, at, plain) {
  const from = Object.getPrototypeOf(value)
  if (plain(from)) return
  if (SAID.includes(from)) {
    if (value.toJSON() === null) throw lost(at, 'is no time')
    return
  }
  const kind = Object.prototype.toString.call(value).slice(8, -1)
  if (kind !== 'Object' && kind !== 'Array') throw lost(at, `is a ${value.constructor?.name ?? kind}`)
  for (let one = from; !plain(one) && one !== null; one = Object.getPrototypeOf(one)) {
    if (types.isProxy(one)) throw unsteady(at, 'it inherits from a Proxy')
    for (const [key, { get, value: item }] of Object.entries(Object.getOwnPropertyDescriptors(one))) {
      if (get !== undefined && key !== '__proto__') throw unsteady(at, `\`${key}\` is an accessor of its class`)
      if (key === 'toJSON' && typeof item === 'function') throw unsteady(at, 'its class says it by `toJSON`')
    }
  }
  // An object of a class that has nothing to show may have everything in private.
  if (kind === 'Object' && Object.keys(value).length === 0) throw lost(at, `is a ${value.constructor?.name ?? kind}`)
  if (kind === 'Array') throw unsteady(at, 'it is a list of a class of its own')
}
