// The policy: its text with what is wrong marked at its lines, questions to try, what a change means before it is in force, and what
// was in force before.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { useData } from '../api.ts'
import { Apply } from '../parts/policy-apply.tsx'
import { useCheck, type Checked } from '../parts/policy-check.ts'
import { Editor } from '../parts/policy-editor.tsx'
import { History } from '../parts/policy-history.tsx'
import { TryIt, WhoMay } from '../parts/policy-try.tsx'
import { Cli, Head, State, Trouble, Waiting } from '../parts/shown.tsx'
import { usePlace } from '../router.tsx'
import type { Policy, PolicyFile } from '../shapes.ts'
import { count } from '../words.ts'

/** 'policy.yaml:12' */
const PLACE = /^(.*):(\d+)(?::\d+)?$/

export function PolicyPage(): JSX.Element {
  const { data, problem, reload } = useData<Policy>('/v1/policy', ['policy'])
  const { query } = usePlace()
  const [drafts, setDrafts] = useState<Readonly<Record<string, string>>>({})
  const [name, setName] = useState<string>()
  const asked = { device: query.get('device') ?? '', does: query.get('does') ?? '', topic: query.get('topic') ?? '' }
  const place = PLACE.exec(query.get('at') ?? '')
  const wanted = place === null ? undefined : data?.files.find((file) => file.name === place[1] || file.name.endsWith(`/${place[1] ?? ''}`) || (place[1] ?? '').endsWith(`/${file.name}`))
  useEffect(() => setName(wanted?.name), [wanted?.name])
  const files: readonly PolicyFile[] | undefined = data?.files.map((file) => ({ name: file.name, text: drafts[file.name] ?? file.text }))
  const isChanged = files?.some((each, index) => each.text !== data?.files[index]?.text) === true
  const checked = useCheck(files, isChanged)
  if (data === undefined || files === undefined) return <><Head title="Policy" />{problem === undefined ? <Waiting /> : <Trouble problem={problem} retry={reload} />}</>
  const file = files.find((each) => each.name === name) ?? files[0]
  return (
    <>
      <Head title="Policy">Generation {data.generation} is in force, {count(data.files.length, 'file')}.{data.edited ? ' The files on the disk are others: edited, and not in force.' : ''}</Head>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      <div class="columns policy">
        <section aria-label="Text">
          {files.length > 1 && <div class="filters"><label>File<select value={file?.name} onChange={(event) => setName(event.currentTarget.value)}>{files.map((each) => <option key={each.name}>{each.name}</option>)}</select></label></div>}
          {file !== undefined && (
            <Editor key={file.name} label={file.name} text={file.text} line={wanted?.name === file.name ? Number(place?.[2]) : undefined} marks={checked.marks.filter((mark) => mark.file === file.name)}
              onText={(text) => setDrafts((before) => ({ ...before, [file.name]: text }))} />
          )}
          <Looked {...checked} here={file?.name} />
          <Apply policy={data} files={isChanged ? files : undefined} onDiscard={() => setDrafts({})}
            onApplied={() => {
              setDrafts({})
              reload()
            }} />
        </section>
        <div>
          <TryIt files={isChanged ? files : undefined} asked={asked} />
          <WhoMay files={isChanged ? files : undefined} asked={asked} />
          <Cli command="sallyport policy check" />
        </div>
      </div>
      <History generation={data.generation} onDone={reload} />
    </>
  )
}

/** What the look at the text came to, as a sentence; what is found in the file that is shown stands at its lines. */
function Looked({ state, marks, problem, here }: Checked & { readonly here: string | undefined }): JSX.Element {
  const elsewhere = [...new Set(marks.filter(({ file }) => file !== here).map(({ file }) => file))]
  return (
    <div role="status" class="looked">
      {state === 'looking' && <p class="quiet">Looking at the text…</p>}
      {state === 'good' && marks.length === 0 && <p><State tone="good">Nothing is wrong with the text.</State></p>}
      {state === 'good' && marks.length > 0 && <p><State tone="soon">{count(marks.length, 'line')} {marks.length === 1 ? 'says' : 'say'} what is hardly ever meant. It is a policy all the same.</State></p>}
      {state === 'bad' && <p><State tone="bad">This is no policy: {count(Math.max(1, marks.length), 'mistake')}.</State></p>}
      {problem !== undefined && marks.length === 0 && <Trouble problem={problem} />}
      {elsewhere.length > 0 && <p>Also in {elsewhere.join(', ')}.</p>}
    </div>
  )
}
