// Runs a copy of the suite "Tests for HTTP caches" through larder and compares what it finds with
// expected.json, which names each test that is not passed and why. The suite's own handlers answer
// as the origin, on loopback. The last line is "N passed, N failed".
//   node run.mjs --suite DIR [--larder PROGRAM | --base URL] [--tls] [--id TEST] [--json FILE]
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { fileURLToPath, pathToFileURL } from 'node:url'

const { values: options } = parseArgs({
  options: {
    suite: { type: 'string' },
    larder: { type: 'string', default: process.env.LARDER_BIN },
    base: { type: 'string' },
    origin: { type: 'string', default: '0' },
    tls: { type: 'boolean', default: false },
    id: { type: 'string' },
    json: { type: 'string' }
  }
})

const here = path.dirname(fileURLToPath(import.meta.url))
// the released copy has its parts at the top, the newer ones have them in test-engine
const engine = ['test-engine', '.'].map(d => path.join(options.suite, d))
  .find(d => fs.existsSync(path.join(d, 'client', 'runner.mjs')))
// where it stands in git its version is that of the last release
const isReleased = path.resolve(engine) === path.resolve(options.suite)
const version = JSON.parse(fs.readFileSync(path.join(options.suite, 'package.json'), 'utf8')).version
const all = JSON.parse(fs.readFileSync(path.join(here, 'expected.json'), 'utf8'))
const expected = { ...all.not_passed, ...(isReleased ? all.not_passed_by_release[version] : {}) }
const load = async (dir, file) => import(pathToFileURL(path.join(dir, file)))

async function startOrigin () {
  const handlers = {}
  for (const name of ['config', 'test', 'state', 'file']) {
    handlers[name] = (await load(engine, `server/handle-${name}.mjs`)).default
  }
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost/')
    const segments = url.pathname.split('/').slice(1)
    const kind = segments.shift()
    if (kind in handlers && kind !== 'file') handlers[kind](segments, request, response)
    else handlers.file(url, request, response)
  })
  await new Promise(resolve => server.listen(Number(options.origin), '127.0.0.1', resolve))
  return server
}

function makeCertificate (dir) {
  const pair = { certificate: path.join(dir, 'site.pem'), key: path.join(dir, 'site.key') }
  const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj',
    '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', pair.key, '-out', pair.certificate])
  if (made.status !== 0) throw new Error(`openssl: ${made.stderr}`)
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0' // it is our own, made for this run
  return pair
}

async function startLarder (originPort) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'larder-conformance-'))
  const file = path.join(dir, 'larder.json')
  fs.writeFileSync(file, JSON.stringify({
    listen: [options.tls ? { address: '127.0.0.1:0', tls: { certificates: [makeCertificate(dir)] } } : '127.0.0.1:0'],
    control: { listen: '127.0.0.1:0' },
    upstreams: { origin: { servers: [`127.0.0.1:${originPort}`] } },
    routes: [{ name: 'all', match: '/*', mode: 'http', set_cookie: 'store', languages: 'unordered', stale_if_error: '1m' }],
    log: { access: 'off' }
  }))
  const child = spawn(options.larder, ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  const port = await new Promise((resolve, reject) => {
    let said = ''
    child.stderr.on('data', data => {
      said += data
      const ready = /public 127\.0\.0\.1:(\d+)/.exec(said)
      if (ready) resolve(Number(ready[1]))
    })
    child.on('exit', () => reject(new Error(`larder ended: ${said}`)))
  })
  const stop = () => new Promise(resolve => {
    child.removeAllListeners('exit')
    child.on('exit', code => {
      fs.rmSync(dir, { recursive: true })
      resolve(code)
    })
    child.kill('SIGTERM')
  })
  return { base: `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`, stop }
}

async function run (base) {
  const suites = (await load(options.suite, 'tests/index.mjs')).default
  const { runTests, getResults } = await load(engine, 'client/runner.mjs')
  const wanted = suites.map(s => ({ ...s, tests: s.tests.filter(t => !options.id || t.id === options.id) }))
  if (options.id) wanted.forEach(s => s.tests.forEach(t => { t.dump = true }))
  // the released copy brings its own fetch
  if (isReleased) {
    const require = createRequire(path.join(path.resolve(options.suite), 'package.json'))
    await runTests(wanted, require('node-fetch'), false, base)
  } else {
    await runTests(wanted, false, base, 60)
  }
  return { suites: wanted, results: getResults() }
}

function isDependedOn (suites, id) {
  return suites.some(s => s.tests.some(t => (t.depends_on ?? []).includes(id)))
}

function judge ({ suites, results }) {
  const tests = new Map(suites.flatMap(s => s.tests).map(t => [t.id, t]))
  // as the suite itself counts: what a test depends on must have passed, too
  const passes = id => results[id] === true &&
    (tests.get(id)?.depends_on ?? []).every(d => options.id || passes(d))
  const sums = {}
  let passed = 0
  let failed = 0
  for (const test of tests.values()) {
    if (!(test.id in results)) continue
    const kind = test.kind ?? 'required'
    const sum = sums[kind] ??= { passed: 0, of: 0 }
    const isPassed = passes(test.id)
    sum.of++
    if (isPassed) sum.passed++
    if (kind === 'check' && !options.id) continue // tells what a cache does; there is no right or wrong
    if (isPassed) {
      passed++
      if (test.id in expected) console.log(`passes now, take it off expected.json: ${test.id}`)
    } else if (!(test.id in expected) || (kind === 'required' && !isReleased)) {
      failed++
      console.log(`FAILED ${kind} ${test.id}: ${results[test.id]}`)
    }
  }
  for (const [kind, sum] of Object.entries(sums)) console.log(`${kind}: ${sum.passed} of ${sum.of}`)
  return { passed, failed }
}

// The tests count seconds, and a machine that is busy elsewhere can make one of them too long: what
// failed unexpectedly is asked again, alone. It is told, and what fails alone has failed.
function askAgain ({ results }) {
  const failed = Object.keys(results).filter(id => results[id] !== true && !(id in expected) && !kinds.get(id))
  if (options.id || failed.length > 40) return
  for (const id of failed) {
    const again = spawnSync(process.execPath, ['--no-warnings', fileURLToPath(import.meta.url), '--suite',
      options.suite, '--larder', options.larder, '--id', id, ...(options.tls ? ['--tls'] : [])], { encoding: 'utf8' })
    if (/^1 passed, 0 failed$/m.test(again.stdout)) {
      console.log(`passed when asked again, alone: ${id} (at first: ${results[id]})`)
      results[id] = true
    }
  }
}

const origin = await startOrigin()
const larder = options.base ? { base: options.base, stop: async () => 0 } : await startLarder(origin.address().port)
const found = await run(larder.base)
if (options.json) fs.writeFileSync(options.json, JSON.stringify(found.results, null, 2))
const kinds = new Map(found.suites.flatMap(s => s.tests).map(t => [t.id, t.kind === 'check' && !isDependedOn(found.suites, t.id)]))
if (!options.base) askAgain(found)
const verdict = judge(found)
if (await larder.stop() !== 0) {
  console.log('FAILED: larder did not end cleanly')
  verdict.failed++
}
origin.closeAllConnections()
origin.close()
console.log(`${verdict.passed} passed, ${verdict.failed} failed`)
process.exitCode = verdict.failed ? 1 : 0
