import { concept } from './concept.js'

/** Ends the admission of agents, of pipelines, of everything. */
export const RevocationEngine = concept('RevocationEngine', {
  methods: {
    revoke: ['agent', 'kind', 'reason'],
    stopPipeline: ['pipeline', 'reason'],
    revokePipeline: ['pipeline', 'kind', 'reason'],
    stopAll: ['reason'],
    receipts: ['generation', 'within'],
    confirmed: ['generation', 'within'],
    lift: [],
    stopInForce: [],
    revocationOf: ['agent'],
    revocations: ['last'],
    violation: ['agent', 'violation', 'detail'],
    error: ['agent', 'message'],
    apiCall: ['agent'],
    idle: ['agent', 'span'],
  },
})
