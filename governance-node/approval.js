import { concept } from './concept.js'

/** What people are asked to approve. */
export const Approvals = concept('Approvals', {
  methods: {
    list: ['last'],
    approval: ['id'],
    wait: ['id', 'within'],
    decide: ['id', 'hash', 'verdict', 'keyFile'],
    submit: ['signed'],
  },
})
