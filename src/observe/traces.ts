// Spans for OpenTelemetry, by its API alone: whoever wants them starts the program with an SDK of their own (node --import), and without
// one each costs a call that does nothing. The types of the API stop here.

import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { Trace } from '../core/trace.ts'

export function openTraces(version: string): Trace {
  const tracer = trace.getTracer('sallyport', version)
  return ({ name, begunAt, endedAt, attributes, reason }) => {
    const span = tracer.startSpan(`sallyport.${name}`, { startTime: begunAt, kind: SpanKind.SERVER, attributes: { ...attributes, ...(reason === undefined ? {} : { 'sallyport.reason': reason }) } })
    // It was refused, as it should be: that is no fault of the server (OpenTelemetry, HTTP: 4xx leaves the status of a server's span unset).
    span.setStatus({ code: reason === undefined ? SpanStatusCode.OK : SpanStatusCode.UNSET })
    span.end(endedAt)
  }
}
