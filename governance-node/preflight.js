// Checks before work begins: the core asks for each, and the function of that name says what it found.

import { callAsync, InvalidError } from './errors.js'
import { named } from './json.js'

/** Why a check fails that answered this; null if it does not. */
const found = (answer) => {
  if (answer === undefined || answer === null || answer === true) return null
  return typeof answer === 'string' ? answer : `the check answered ${String(answer)}`
}

const make = async (asked, check) => {
  try {
    asked.tell(found(await check()))
  } catch (error) {
    asked.tell(`${error?.name ?? 'error'}: ${error?.message ?? String(error)}`)
  }
}

const known = ([name, check]) => {
  if (typeof check === 'function') return [name, null]
  if (check !== null && typeof check === 'object') return [name, check]
  throw new InvalidError(`the value does not fit: the check \`${name}\` is a function, or says what to look at`, { kind: 'invalid', code: 'wrong_shape' })
}

/** Makes each check that is a function when it is asked for, and answers with the report. */
export const preflight = (native, given, options) =>
  callAsync(async () => {
    const checks = { ...given }
    const under = native.preflight(named(['checks'], [Object.entries(checks).map(known), options]))
    for (;;) {
      const asked = await under.next()
      if (typeof asked === 'string') return JSON.parse(asked)
      // Not waited for: what is late has failed, and the next one is asked for.
      make(asked, checks[asked.name])
    }
  })
