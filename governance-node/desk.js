// The calls of this thread that wait for an answer.

import { Refusal } from './errors.js'
import { native } from './native.js'

const waiting = new Map()

// A process is kept alive by what it waits for, and by nothing else of ours.
const alive = setInterval(() => {}, 2 ** 31 - 1)
alive.unref()

const desk = new native.Desk(() => {
  const told = desk.collect()
  for (let at = 0; at < told.length; at += 2) {
    const number = Math.abs(told[at])
    const { resolve, reject } = waiting.get(number)
    waiting.delete(number)
    if (told[at] > 0) resolve(told[at + 1])
    else reject(new Refusal(told[at + 1]))
  }
  if (waiting.size === 0) alive.unref()
})

/** Calls the core with a text, and answers with what it says: at once, or a promise. */
export const ask = (handle, method, text) => {
  const told = handle[method](text, desk)
  if (typeof told !== 'number') return told
  if (waiting.size === 0) alive.ref()
  return new Promise((resolve, reject) => waiting.set(told, { resolve, reject }))
}
