// JSON texts, as they cross the boundary. What JSON would leave out or change without a word is refused instead.

import { InvalidError } from './errors.js'

const refused = (why, cause) => new InvalidError(`the value cannot be written as JSON: ${why}`, { kind: 'invalid', code: 'not_json', cause })

/** Where JSON may have changed something: `null` for NaN, `{}` for a map, numbered fields for bytes. */
const SUSPECT = /null|\{\}|"Buffer"|\{"0":/

/** What JSON says whole. */
const PLAIN = ['Object', 'Array', 'String', 'Number', 'Boolean']

/** An object of a class that has nothing to show may have everything in private. */
const hides = (given) => {
  const prototype = Object.getPrototypeOf(given)
  return prototype !== null && prototype.constructor !== Object && JSON.stringify(given) === '{}'
}

function checked(key, value) {
  const given = this[key]
  if (typeof given === 'number' && !Number.isFinite(given)) throw refused(`\`${key}\` is ${given}`)
  if (Array.isArray(this) && ['undefined', 'function', 'symbol'].includes(typeof given)) throw refused(`a list holds a ${typeof given}`)
  const kind = Object.prototype.toString.call(given).slice(8, -1)
  const isOdd = typeof given === 'object' && given !== null && (ArrayBuffer.isView(given) || !PLAIN.includes(kind) || hides(given))
  if (isOdd && typeof given.toJSON !== 'function') throw refused(`\`${key}\` is a ${given.constructor?.name ?? kind}: say it as text, lists or objects`)
  if (Buffer.isBuffer(given)) throw refused(`\`${key}\` is a Buffer: say it as text, lists or objects`)
  return value
}

/** The text of a call's arguments. */
export const text = (given) => {
  try {
    const written = JSON.stringify(given)
    if (SUSPECT.test(written)) JSON.stringify(given, checked)
    return written
  } catch (cause) {
    throw cause instanceof InvalidError ? cause : refused(cause?.message, cause)
  }
}

/** A call's arguments by name; those that may be left out come last, in an object. */
export const named = (names, given) => {
  const options = given[names.length]
  if (options !== undefined && (options === null || typeof options !== 'object')) {
    const message = `the value does not fit: \`${String(options)}\` stands where options belong`
    throw new InvalidError(message, { kind: 'invalid', code: 'wrong_shape' })
  }
  const all = { ...options }
  for (let at = 0; at < names.length; at += 1) {
    if (['undefined', 'function', 'symbol'].includes(typeof given[at])) throw refused(`\`${names[at]}\` is ${typeof given[at]}`)
    all[names[at]] = given[at]
  }
  return text(all)
}
