import { concept } from './concept.js'

/** What the agents of a task know together. */
export const Blackboard = concept('Blackboard', {
  methods: {
    post: ['section', 'name', 'content'],
    putIf: ['section', 'name', 'content', 'version'],
    removeIf: ['section', 'name', 'version'],
    entry: ['section', 'name'],
    entries: ['section'],
    history: ['section', 'name'],
  },
  streams: { events: [] },
})
