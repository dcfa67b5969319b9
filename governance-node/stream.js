// What comes one after another, as an async iterator.

import { callAsync } from './errors.js'

/** Ends when its loop does; `return()` also ends it for whoever waits for the next item. */
export class Stream {
  #opening
  #read

  constructor(opening, read) {
    this.#opening = opening
    this.#read = read
    // Told to whoever asks for the next item, and to nobody else.
    opening.catch(() => {})
  }

  next() {
    return callAsync(async () => {
      const item = await (await this.#opening).next()
      return item === undefined || item === null ? { done: true, value: undefined } : { done: false, value: this.#read(item) }
    })
  }

  async return(value) {
    await this.#opening.then(
      (stream) => stream.end(),
      () => {},
    )
    return { done: true, value }
  }

  [Symbol.asyncIterator]() {
    return this
  }

  async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    await this.return()
  }
}
