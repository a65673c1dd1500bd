// The policy: its text with what is wrong marked at its lines, questions to try, what a change means before it is in force, and what
// was in force before.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { useData } from '../api.ts'
import { Apply } from '../parts/policy-apply.tsx'
import { Editor } from '../parts/policy-editor.tsx'
import { History } from '../parts/policy-history.tsx'
import { TryIt, WhoMay } from '../parts/policy-try.tsx'
import { Cli, Head, Trouble, Waiting } from '../parts/shown.tsx'
import { usePlace } from '../router.tsx'
import type { Mark } from '../sentences.ts'
import type { Policy, PolicyFile } from '../shapes.ts'
import { count } from '../words.ts'

/** 'policy.yaml:12' */
const PLACE = /^(.*):(\d+)(?::\d+)?$/

export function PolicyPage(): JSX.Element {
  const { data, problem, reload } = useData<Policy>('/v1/policy', ['policy'])
  const { query } = usePlace()
  const [drafts, setDrafts] = useState<Readonly<Record<string, string>>>({})
  const [marks, setMarks] = useState<readonly Mark[]>([])
  const [name, setName] = useState<string>()
  const place = PLACE.exec(query.get('at') ?? '')
  const wanted = place === null ? undefined : data?.files.find((file) => file.name === place[1] || file.name.endsWith(`/${place[1] ?? ''}`) || (place[1] ?? '').endsWith(`/${file.name}`))
  useEffect(() => setName(wanted?.name), [wanted?.name])
  if (data === undefined) return <><Head title="Policy" />{problem === undefined ? <Waiting /> : <Trouble problem={problem} retry={reload} />}</>
  const files: readonly PolicyFile[] = data.files.map((file) => ({ name: file.name, text: drafts[file.name] ?? file.text }))
  const file = files.find((each) => each.name === name) ?? files[0]
  const isChanged = files.some((each, index) => each.text !== data.files[index]?.text)
  return (
    <>
      <Head title="Policy">Generation {data.generation} is in force, {count(data.files.length, 'file')}.{data.edited ? ' The files on the disk are others: edited, and not in force.' : ''}</Head>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      <div class="columns policy">
        <section aria-label="Text">
          {files.length > 1 && <div class="filters"><label>File<select value={file?.name} onChange={(event) => setName(event.currentTarget.value)}>{files.map((each) => <option key={each.name}>{each.name}</option>)}</select></label></div>}
          {file !== undefined && (
            <Editor key={file.name} label={file.name} text={file.text} line={wanted?.name === file.name ? Number(place?.[2]) : undefined} marks={marks.filter((mark) => mark.file === file.name)}
              onText={(text) => setDrafts((before) => ({ ...before, [file.name]: text }))} />
          )}
          <Apply policy={data} files={isChanged ? files : undefined} onMarks={setMarks}
            onDiscard={() => {
              setDrafts({})
              setMarks([])
            }}
            onApplied={() => {
              setDrafts({})
              setMarks([])
              reload()
            }} />
        </section>
        <div>
          <TryIt files={isChanged ? files : undefined} device={query.get('device') ?? ''} />
          <WhoMay files={isChanged ? files : undefined} />
          <Cli command="sallyport policy check" />
        </div>
      </div>
      <History generation={data.generation} onDone={reload} />
    </>
  )
}
