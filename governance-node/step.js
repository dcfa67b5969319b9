import { concept } from './concept.js'
import { RevokedError } from './errors.js'

/** One thing to do. */
export const Step = concept('Step', {
  properties: ['stage', 'reason', 'proposal'],
  values: ['message'],
  methods: { done: [], failed: ['code', 'message'] },
})

Object.defineProperty(Step.prototype, 'run', {
  writable: true,
  configurable: true,
  async value(work) {
    try {
      await work(this)
    } catch (error) {
      // Who is revoked reports nothing any more.
      if (error instanceof RevokedError) throw error
      await this.failed(String(error?.code ?? error?.name ?? 'error'), String(error?.message ?? error))
      return false
    }
    await this.done()
    return true
  },
})
