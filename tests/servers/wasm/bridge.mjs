// PostgreSQL's wire protocol on a TCP port, in front of TimescaleDB compiled to WASM (PGlite).
//
//   node bridge.mjs MODULES PORT     MODULES: the node_modules folder that holds the build
//
// PGlite is one backend without a network. Here each database is a PGlite of its own, made when
// somebody first connects to it. Connections to a database take turns: one keeps the backend until
// its transaction ends. So locks, authentication (any password will do) and concurrency are not
// real here; SQL, hypertables, columnstore and continuous aggregates are.
//
// Standard input: "drop NAME" forgets a database; its end ends the bridge.

import net from 'node:net'
import path from 'node:path'
import readline from 'node:readline'
import { pathToFileURL } from 'node:url'

const [modules, port] = process.argv.slice(2)
const dist = path.join(modules, '@unni-craftsman', 'pglite', 'dist')
const load = (file) => import(pathToFileURL(path.join(dist, file)))
const { PGlite } = await load('index.js')
const { timescaledb } = await load('timescaledb/index.js')

const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104
const CANCEL_REQUEST = 80877102
const COPY_IN = /^\s*copy\s[\s\S]*\sfrom\s+stdin\b/i
const FRESH = 'SET search_path TO "$user", public'  // PGlite's default is pg_catalog

// Made once: a copy of its files is ready sooner than a new one, and has no debug output on.
const template = await PGlite.create({ extensions: { timescaledb } })
const files = await template.dumpDataDir('none')
await template.close()

function message(type, body) {
  const whole = Buffer.alloc(5 + body.length)
  whole.write(type, 0, 'latin1')
  whole.writeInt32BE(4 + body.length, 1)
  body.copy(whole, 5)
  return whole
}

function split(bytes) {
  const found = []
  for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
    found.push(bytes.subarray(at, at + 1 + bytes.readInt32BE(at + 1)))
  }
  return found
}

const isType = (one, type) => one[0] === type.charCodeAt(0)
const asksPassword = (one) => isType(one, 'R') && one.readInt32BE(5) !== 0

// One PGlite, and whose turn it is.
class Database {
  constructor() {
    const copy = PGlite.create({ extensions: { timescaledb }, loadDataDir: files })
    this.made = copy.then(async (db) => {
      await db.exec(FRESH)
      return db
    })
    this.owner = null
    this.waiting = []
    this.connections = 0
  }

  async run(bytes) {
    const db = await this.made
    return Buffer.from(await db.execProtocolRaw(new Uint8Array(bytes)))
  }

  acquire(who) {
    if (this.owner === who) return Promise.resolve()
    if (this.owner === null) { this.owner = who; return Promise.resolve() }
    return new Promise((resolve) => this.waiting.push({ who, resolve }))
  }

  release() {
    const next = this.waiting.shift()
    this.owner = next ? next.who : null
    if (next) next.resolve()
  }

  // What a backend does at the end of a connection. Settings, prepared statements and advisory
  // locks belong to all connections here, so they go with the last one.
  async left(who) {
    this.connections -= 1
    const mine = this.owner === who
    if (!mine && this.connections) return
    await this.acquire(who)
    const db = await this.made
    await db.exec('ROLLBACK')
    if (!this.connections) { await db.exec('DISCARD ALL'); await db.exec(FRESH) }
    this.release()
  }
}

const databases = new Map()

function database(name) {
  if (!databases.has(name)) databases.set(name, new Database())
  return databases.get(name)
}

class Connection {
  constructor(socket) {
    this.socket = socket
    this.unread = Buffer.alloc(0)
    this.database = null
    this.pending = []  // of the extended protocol, up to its Sync
    this.copy = null   // a COPY is collected and given to the backend in one piece
    this.busy = Promise.resolve()
    this.gone = false
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      this.unread = this.unread.length ? Buffer.concat([this.unread, bytes]) : bytes
      this.after(() => this.handle())
    })
    socket.on('close', () => this.after(() => this.leave()))
  }

  leave() {
    if (this.gone) return
    this.gone = true
    return this.database && this.database.left(this)
  }

  after(what) {
    this.busy = this.busy.then(what).catch((error) => {
      console.error('bridge:', error)
      this.socket.destroy()
    })
  }

  async handle() {
    for (;;) {
      const head = this.database ? 1 : 0  // a startup packet has no type
      if (this.unread.length < head + 4) return
      const size = head + this.unread.readInt32BE(head)
      if (this.unread.length < size) return
      const one = Buffer.from(this.unread.subarray(0, size))
      this.unread = this.unread.subarray(size)
      if (this.gone) return
      if (this.database) await this.next(one)
      else await this.startup(one)
    }
  }

  async startup(packet) {
    const code = packet.readInt32BE(4)
    if (code === SSL_REQUEST || code === GSS_REQUEST) { this.socket.write('N'); return }
    if (code === CANCEL_REQUEST) { this.socket.end(); return }
    const words = packet.subarray(8).toString('utf8').split('\0')
    const given = {}
    for (let at = 0; at + 1 < words.length && words[at]; at += 2) given[words[at]] = words[at + 1]
    this.database = database(given.database || given.user)
    this.database.connections += 1
    await this.database.acquire(this)
    // Inside there is one database, under a name of its own.
    given.database = 'template1'
    const fields = Object.entries(given).map(([name, value]) => `${name}\0${value}\0`).join('')
    const body = Buffer.from(`${fields}\0`, 'utf8')
    const start = Buffer.alloc(8)
    start.writeInt32BE(8 + body.length, 0)
    start.writeInt32BE(code, 4)
    let answer = split(await this.database.run(Buffer.concat([start, body])))
    if (answer.some(asksPassword)) {
      const password = message('p', Buffer.from('password\0'))
      answer = answer.concat(split(await this.database.run(password)))
    }
    this.answer(answer.filter((one) => !asksPassword(one)))
  }

  async next(one) {
    const type = String.fromCharCode(one[0])
    if (type === 'X') {  // at once: who connects next must not find what this one left
      this.socket.end()
      await this.leave()
      return
    }
    if (this.copy) {
      this.copy.push(one)
      if (type === 'c' || type === 'f') {
        const answer = split(await this.database.run(Buffer.concat(this.copy)))
        this.copy = null
        this.answer(answer.filter((one) => !isType(one, 'G')))
      }
      return
    }
    if (type === 'Q' && COPY_IN.test(one.toString('utf8', 5))) {
      await this.database.acquire(this)
      this.copy = [one]
      const format = /\bbinary\b/i.test(one.toString('utf8', 5)) ? 1 : 0
      this.socket.write(message('G', Buffer.from([format, 0, 0])))
      return
    }
    this.pending.push(one)
    if (type === 'Q' || type === 'S' || type === 'H') {
      await this.database.acquire(this)
      const all = Buffer.concat(this.pending)
      this.pending = []
      this.answer(split(await this.database.run(all)))
    }
  }

  // Others get their turn when the backend says that it is in no transaction.
  answer(messages) {
    const ready = messages.findLast((one) => isType(one, 'Z'))
    this.socket.write(Buffer.concat(messages))
    if (ready && String.fromCharCode(ready[5]) === 'I') this.database.release()
  }
}

net.createServer((socket) => new Connection(socket)).listen(+port, '127.0.0.1', () => {
  console.log('listening')
})

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [word, name] = line.split(' ')
  const dropped = databases.get(name)
  if (word === 'drop' && dropped) {
    databases.delete(name)
    dropped.made.then((db) => db.close()).catch((error) => console.error('bridge:', error))
  }
}).on('close', () => process.exit(0))
