// stub
import type { JSX } from 'preact'
import { Head } from '../parts/shown.tsx'
export function Reports(): JSX.Element { return <Head title="Reports" /> }
