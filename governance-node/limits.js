import { concept } from './concept.js'

/** What agents, pipelines and everything may use. */
export const Limits = concept('Limits', {
  methods: {
    set: ['scope', 'unit', 'limit'],
    unset: ['scope', 'unit'],
    usage: ['scopes'],
  },
})
