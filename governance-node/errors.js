// One class per kind of error, made from the core's own list.

import { tables } from './native.js'

/** Something failed; the subclass says what the caller can do. */
export class GovernanceError extends Error {
  constructor(message, { kind, code, details = {}, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    Object.assign(this, { kind, code, details })
  }

  get name() {
    return this.constructor.name
  }
}

const classOf = (name) => ({ [name]: class extends GovernanceError {} })[name]
const byKind = Object.fromEntries(tables.errors.map(({ kind, class: name }) => [kind, classOf(name)]))
const byName = Object.fromEntries(tables.errors.map(({ kind, class: name }) => [name, byKind[kind]]))

export const {
  InvalidError,
  NotFoundError,
  ConflictError,
  DeniedError,
  RevokedError,
  ExhaustedError,
  UnavailableError,
  DeadlineError,
  CorruptError,
  InternalError,
} = byName

const WRONG = /^(\w+Expected|InvalidArg)$/

/** What a call that waited was refused with, on its way to who waits: an error is made there, so that its stack says where. */
export class Refusal {
  constructor(told) {
    this.told = told
  }
}

/** An error of the addon as ours. */
export const mended = (error) => {
  if (error instanceof Refusal) {
    const { message, ...machine } = JSON.parse(error.told)
    return new byKind[machine.kind](message, machine)
  }
  const told = error?.cause?.message
  // The boundary itself refuses what is not even of the right type.
  if (WRONG.test(error?.code)) return new InvalidError(`the value does not fit: ${error.message}`, { kind: 'invalid', code: 'wrong_shape' })
  if (typeof told !== 'string' || !told.startsWith('{')) return error
  const machine = JSON.parse(told)
  return new byKind[machine.kind](error.message, machine)
}

/** Calls the core; what it refuses is thrown as its class, from here: the addon's own error has no stack. */
export const call = (work) => {
  try {
    return work()
  } catch (error) {
    throw mended(error)
  }
}

export const callAsync = async (work) => {
  try {
    return await work()
  } catch (error) {
    throw mended(error)
  }
}
