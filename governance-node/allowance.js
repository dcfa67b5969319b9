import { concept } from './concept.js'

/** A local share of a budget. */
export const Allowance = concept('Allowance', {
  checks: ['left', 'tryDraw'],
  methods: { draw: ['amount'], close: [] },
  disposal: 'close',
})
