import { concept } from './concept.js'

/** A local share of a budget. */
export const Allowance = concept('Allowance', {
  methods: { draw: ['amount'], close: [] },
  disposal: 'close',
})
