import { concept } from './concept.js'

/** What thinks for an agent: budgeted, recorded, behind the shared breaker. */
export const Model = concept('Model', {
  properties: ['name'],
  checks: ['isOpen'],
  methods: { chat: ['messages'] },
})
