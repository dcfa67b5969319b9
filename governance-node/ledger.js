import { concept } from './concept.js'

/** The record. */
export const Ledger = concept('Ledger', {
  properties: ['id', 'home'],
  methods: { list: [], head: [], verify: [] },
})
