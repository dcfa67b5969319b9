import { concept } from './concept.js'

/** Deciding together: a task's votes. */
export const Consensus = concept('Consensus', {
  methods: {
    propose: ['id', 'question', 'options', 'electorate', 'within'],
    proposal: ['id'],
    vote: ['id', 'choice'],
    commitment: ['id', 'choice', 'nonce'],
    commitVote: ['id', 'commitment'],
    reveal: ['id', 'choice', 'nonce'],
    settle: ['id'],
    settled: ['id'],
    outcome: ['id'],
    votes: ['id'],
  },
  streams: { events: [] },
})
