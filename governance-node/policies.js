import { concept } from './concept.js'

/** The profiles in force. */
export const Policies = concept('Policies', {
  methods: {
    list: [],
    version: ['name'],
    history: ['name'],
    apply: ['text', 'by'],
    rollback: ['name', 'by'],
    withdraw: ['name', 'by'],
  },
})
