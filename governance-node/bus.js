import { concept } from './concept.js'

/** What agents say to each other. */
export const MessageBus = concept('MessageBus', {
  methods: {
    join: [],
    leave: [],
    members: [],
    send: ['to', 'body'],
    broadcast: ['body'],
    reply: ['delivery', 'body'],
    request: ['to', 'body', 'within'],
    take: [],
    receive: [],
    acknowledge: ['delivery'],
    signal: ['body'],
    deadLetters: [],
  },
  streams: { messages: [], signals: [], record: [] },
})
