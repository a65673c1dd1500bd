// What is published, judged by the tools that others check certificates with.

import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has } from '../e2e/program.ts'
import { device } from '../http/house.ts'
import { openDoor, type Door } from './door.ts'

let door: Door
beforeAll(async () => {
  door = await openDoor()
  for (const id of ['good', 'revoked', 'held', 'retired', 'plain']) await door.device(id)
  const desk = door.house.desk()
  await desk.revoke({ device: device('revoked') }, 'keyCompromise')
  await desk.revoke({ device: device('plain') }, 'unspecified')
  await desk.changeDevice(device('held'), 'suspend')
  await desk.changeDevice(device('retired'), 'retire')
  await door.pki.publish()
  for (const name of ['issuing-1', 'root']) door.write(`${name}.crl`, (await door.get(`/crl/${name}.crl`)).body)
  await run('openssl', 'crl', '-inform', 'DER', '-in', 'issuing-1.crl', '-out', 'issuing.crl.pem')
  await run('openssl', 'crl', '-inform', 'DER', '-in', 'root.crl', '-out', 'root.crl.pem')
  door.write('crls.pem', readFileSync(door.file('issuing.crl.pem'), 'utf8') + readFileSync(door.file('root.crl.pem'), 'utf8'))
}, 60_000)
afterAll(() => door[Symbol.asyncDispose]())

/** What a tool says, on both streams, whether it succeeds or not; it is in the same process as no server, so it must not block. */
function run(tool: string, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(tool, args, { cwd: door.house.folder, stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 })
    let text = ''
    const onData = (chunk: Buffer): void => {
      text += chunk.toString()
    }
    child.stdout.on('data', onData)
    child.stderr.on('data', onData)
    child.once('error', reject)
    child.once('close', () => resolve(text))
  })
}

describe.skipIf(!has('openssl'))('openssl (needs openssl)', () => {
  test.each([['issuing-1', 'issuing.pem'], ['root', 'root.pem']])('the CRL of %s verifies under its CA, and under no other', async (name, ca) => {
    expect(await run('openssl', 'crl', '-inform', 'DER', '-in', `${name}.crl`, '-noout', '-CAfile', ca)).toContain('verify OK')
    expect(await run('openssl', 'crl', '-inform', 'DER', '-in', `${name}.crl`, '-noout', '-CAfile', ca === 'root.pem' ? 'issuing.pem' : 'root.pem')).not.toContain('verify OK')
  })

  test.each([['good', /good\.pem: OK/], ['revoked', /certificate revoked/], ['plain', /certificate revoked/], ['held', /certificate revoked/], ['retired', /certificate revoked/]])('verify -crl_check and -crl_check_all judge the device %s', async (id, said) => {
    for (const check of ['-crl_check', '-crl_check_all']) {
      expect(await run('openssl', 'verify', '-x509_strict', check, '-CAfile', 'root.pem', '-untrusted', 'issuing.pem', '-CRLfile', 'crls.pem', `${id}.pem`)).toMatch(said)
    }
  })

  test.each([['good', ': good'], ['revoked', 'Reason: keyCompromise'], ['held', 'Reason: certificateHold'], ['retired', 'Reason: cessationOfOperation']])('ocsp judges the device %s, by SHA-1 and SHA-256, with and without a nonce', async (id, said) => {
    for (const hash of ['-sha1', '-sha256']) {
      for (const nonce of ['-nonce', '-no_nonce']) {
        const answer = await run('openssl', 'ocsp', hash, '-issuer', 'issuing.pem', '-cert', `${id}.pem`, '-url', `${door.url}/ocsp`, nonce, '-CAfile', 'root.pem')
        expect(answer).toContain('Response verify OK')
        expect(answer).toContain(said)
        expect(answer).not.toMatch(/no nonce|Nonce Verify error/)
      }
    }
  })

  test('ocsp: a serial that nobody was given is unknown, an unspecified reason is not named, two in one request are both answered', async () => {
    expect(await run('openssl', 'ocsp', '-issuer', 'issuing.pem', '-serial', '0x4012', '-url', `${door.url}/ocsp`, '-CAfile', 'root.pem')).toContain('0x4012: unknown')
    const two = await run('openssl', 'ocsp', '-issuer', 'issuing.pem', '-cert', 'good.pem', '-cert', 'plain.pem', '-url', `${door.url}/ocsp`, '-CAfile', 'root.pem')
    expect(two).toContain('good.pem: good')
    expect(two).toContain('plain.pem: revoked')
    expect(two).not.toContain('Reason')
  })

  test('ocsp: of a CA for which there is no responder nothing is said', async () => {
    expect(await run('openssl', 'ocsp', '-issuer', 'root.pem', '-cert', 'issuing.pem', '-url', `${door.url}/ocsp`, '-CAfile', 'root.pem')).toContain('unauthorized')
  })

  test('the same answer over GET and POST by other means than openssl', async () => {
    await run('openssl', 'ocsp', '-issuer', 'issuing.pem', '-cert', 'revoked.pem', '-no_nonce', '-reqout', 'request.der')
    const request = readFileSync(door.file('request.der'))
    const [got, posted] = [await door.get(`/ocsp/${encodeURIComponent(request.toString('base64'))}`), await door.get('/ocsp', { method: 'POST', headers: { 'content-type': 'application/ocsp-request' }, body: request })]
    expect(got.headers['content-type']).toBe('application/ocsp-response')
    for (const [name, { body }] of Object.entries({ got, posted })) {
      door.write(`${name}.der`, body)
      expect(await run('openssl', 'ocsp', '-respin', `${name}.der`, '-issuer', 'issuing.pem', '-cert', 'revoked.pem', '-CAfile', 'root.pem')).toContain('revoked.pem: revoked')
    }
  })
})

describe.skipIf(!has('certtool') || !has('ocsptool'))('GnuTLS (needs certtool and ocsptool)', () => {
  test('certtool verifies the CRL', async () => {
    expect(await run('certtool', '--verify-crl', '--load-ca-certificate', 'issuing.pem', '--infile', 'issuing.crl.pem')).toContain('Verification output: Verified.')
  })

  test.each([['good', 'good'], ['revoked', 'revoked']])('ocsptool judges the device %s', async (id, said) => {
    const answer = await run('ocsptool', `--ask=${door.url}/ocsp`, '--load-issuer', 'issuing.pem', '--load-cert', `${id}.pem`, '--load-trust', 'issuing.pem')
    expect(answer).toContain(`Certificate Status: ${said}`)
    expect(answer).toContain('Verifying OCSP Response: Success.')
  })
})

const JAVA = `
import java.io.*; import java.net.URI; import java.security.cert.*; import java.util.*;
public class Check {
  static X509Certificate read(String f) throws Exception { try (InputStream in = new FileInputStream(f)) { return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in); } }
  public static void main(String[] a) throws Exception {
    PKIXParameters p = new PKIXParameters(Set.of(new TrustAnchor(read("root.pem"), null)));
    CertPathValidator v = CertPathValidator.getInstance("PKIX");
    PKIXRevocationChecker c = (PKIXRevocationChecker) v.getRevocationChecker();
    if (a[0].equals("crl")) {
      c.setOptions(EnumSet.of(PKIXRevocationChecker.Option.PREFER_CRLS, PKIXRevocationChecker.Option.NO_FALLBACK));
      List<CRL> crls = new ArrayList<>();
      for (String f : List.of("issuing-1.crl", "root.crl")) try (InputStream in = new FileInputStream(f)) { crls.add(CertificateFactory.getInstance("X.509").generateCRL(in)); }
      p.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(crls)));
    } else {
      c.setOptions(EnumSet.of(PKIXRevocationChecker.Option.ONLY_END_ENTITY, PKIXRevocationChecker.Option.NO_FALLBACK));
      c.setOcspResponder(new URI(a[2]));
    }
    p.addCertPathChecker(c);
    try { v.validate(CertificateFactory.getInstance("X.509").generateCertPath(List.of(read(a[1]), read("issuing.pem"))), p); System.out.println("VALID"); }
    catch (CertPathValidatorException e) { System.out.println("REFUSED " + e.getReason()); }
  }
}`

describe.skipIf(!has('javac') || !has('java'))('Java PKIX (needs javac and java)', () => {
  beforeAll(async () => {
    door.write('Check.java', JAVA)
    expect(await run('javac', 'Check.java')).toBe('')
  }, 60_000)

  test.each([['good', 'VALID'], ['revoked', 'REFUSED REVOKED'], ['held', 'REFUSED REVOKED']])('validates the chain of %s by CRL and by OCSP', async (id, said) => {
    expect(await run('java', 'Check', 'crl', `${id}.pem`)).toContain(said)
    expect(await run('java', 'Check', 'ocsp', `${id}.pem`, `${door.url}/ocsp`)).toContain(said)
  }, 60_000)
})

describe.skipIf(!has('nginx') || !has('curl'))('nginx (needs nginx and curl)', () => {
  test('as docs/other-doors.md has it: lets a device in, and refuses it after its revocation', async () => {
    const text = readFileSync(path.resolve(import.meta.dirname, '../../docs/other-doors.md'), 'utf8')
    const block = (language: string): string => new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(text)?.[1] ?? ''
    expect(block('nginx')).toContain('ssl_verify_client on')
    const [folder, port] = [door.file('nginx'), String(20_000 + (process.pid % 20_000))]
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(path.join(folder, 'logs'), { recursive: true })
    await door.device('visitor')
    const server = path.join(door.house.folder, 'certs/local/server')
    const fill = (words: string): string => words.replaceAll('/etc/nginx/sallyport', folder).replaceAll('8444', port).replaceAll('http://pki.example:8080', door.url)
      .replaceAll('server.pem', path.join(server, 'cert.pem')).replaceAll('server.key', path.join(server, 'key.pem')).replaceAll('DEVICE', door.file('visitor'))
    writeFileSync(path.join(folder, 'nginx.conf'), `daemon off;\nmaster_process off;\npid ${folder}/nginx.pid;\nerror_log ${folder}/logs/error.log;\nevents {}\nhttp {\naccess_log off;\n${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join('\n')}\n${fill(block('nginx'))}\n}\n`)
    const [fetching = '', visiting = ''] = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => fill(match[1] ?? ''))
    expect(fetching).toContain('/crl/')
    const visit = async (): Promise<string> => {
      await run('sh', '-ec', fetching)
      const nginx = spawn('nginx', ['-p', folder, '-c', `${folder}/nginx.conf`], { stdio: 'ignore' })
      try {
        return await run('sh', '-c', visiting)
      } finally {
        const ended = new Promise((resolve) => nginx.once('close', resolve))
        nginx.kill('SIGTERM')
        await ended
      }
    }
    expect(await visit()).toContain('Welcome, CN=visitor')
    await door.house.desk().revoke({ device: device('visitor') }, 'keyCompromise')
    await door.pki.publish()
    expect(await visit()).toContain('400 Bad Request')
  }, 60_000)
})
