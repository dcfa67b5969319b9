import { concept } from './concept.js'

/** How far profiles are trusted. */
export const Promotions = concept('Promotions', {
  methods: {
    standings: [],
    standing: ['profile'],
    eligibility: ['profile'],
    register: ['profile', 'tier', 'by', 'reason'],
    promote: ['profile', 'by', 'reason'],
    demote: ['profile', 'by', 'reason'],
  },
})
