// Answers in the order of their questions: PUBACK and PUBREC leave a connection in the order in which the messages came
// [MQTT-4.6.0-2], [MQTT-4.6.0-3], also when the store has the second before the first needs none.

export interface AnswerOrder {
  /** Questions that are not answered yet. */
  open(): number
  /** Takes a place; what is returned answers, at once or when its turn comes. */
  enter(): (answer: () => void) => void
}

/** `onAnswered` is called after each answer. */
export function openAnswerOrder(onAnswered: () => void): AnswerOrder {
  const ready = new Map<number, () => void>()
  let turn = 0
  let last = 0

  function run(answer: () => void): void {
    turn += 1
    answer()
    onAnswered()
  }

  return {
    open: () => last - turn,
    enter() {
      const place = last
      last += 1
      return (answer) => {
        if (place !== turn) {
          ready.set(place, answer)
          return
        }
        run(answer)
        for (let next = ready.get(turn); next !== undefined; next = ready.get(turn)) {
          ready.delete(turn)
          run(next)
        }
      }
    },
  }
}
