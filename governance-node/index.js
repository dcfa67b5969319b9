// Governance for AI agents, in this process. The rules are the core's; here is only the shape that JavaScript expects.

import { callAsync, InvalidError } from './errors.js'
import { native } from './native.js'

export {
  ConflictError,
  CorruptError,
  DeadlineError,
  DeniedError,
  ExhaustedError,
  GovernanceError,
  InternalError,
  InvalidError,
  NotFoundError,
  RevokedError,
  UnavailableError,
} from './errors.js'
export * from './vocabulary.js'

const json = (content) => {
  let text
  try {
    text = JSON.stringify(content)
  } catch (cause) {
    throw new InvalidError('the value cannot be written as JSON', { kind: 'invalid', code: 'not_json', cause })
  }
  if (text === undefined) throw new InvalidError('the value cannot be written as JSON', { kind: 'invalid', code: 'not_json' })
  return text
}

/** Governed state: a store, its ledger, and everything that stands on them. */
export class Governance {
  #native

  constructor(opened) {
    if (!(opened instanceof native.Governance)) throw new TypeError('use `await Governance.open()`')
    this.#native = opened
  }

  static open({ home, store } = {}) {
    return callAsync(async () => new Governance(await native.Governance.open(home, store)))
  }

  get storeUrl() {
    return this.#native.storeUrl
  }

  blackboard(task, author) {
    return callAsync(async () => new Blackboard(await this.#native.blackboard(task, author)))
  }

  close() {
    return callAsync(() => this.#native.close())
  }

  [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    return this.close()
  }
}

/** What the agents of a task know together. */
export class Blackboard {
  #native

  constructor(opened) {
    if (!(opened instanceof native.Blackboard)) throw new TypeError('use `await governance.blackboard(task, author)`')
    this.#native = opened
  }

  post(section, name, content) {
    return callAsync(async () => JSON.parse(await this.#native.post(section, name, json(content))))
  }

  putIf(section, name, content, version) {
    return callAsync(async () => JSON.parse(await this.#native.putIf(section, name, json(content), version)))
  }

  entry(section, name) {
    return callAsync(async () => JSON.parse(await this.#native.entry(section, name)))
  }

  entries(section) {
    return callAsync(async () => JSON.parse(await this.#native.entries(section)))
  }
}
