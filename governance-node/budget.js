import { Allowance } from './allowance.js'
import { concept } from './concept.js'

/** What an agent may still spend, and how many faults it may still make. */
export const ErrorBudget = concept('ErrorBudget', {
  methods: {
    grant: ['unit', 'limit'],
    usage: ['unit'],
    remaining: ['unit'],
    spend: ['unit', 'amount'],
    reserve: ['unit', 'amount', 'ttl'],
    settle: ['reservation', 'used'],
    error: ['kind', 'message'],
    procedureViolation: [],
    faults: [],
  },
  handles: { allowance: [() => Allowance, ['unit', 'piece', 'ttl']] },
})
