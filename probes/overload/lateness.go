/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package overload

import "time"

// LateSlack is how late the scheduler may be for a probe without the probe counting as late.
const LateSlack = 50 * time.Millisecond

// TooLate reports whether a goroutine was so late at the end of a probe that it must have been late
// before, too, and left the endpoint too little time.
func TooLate(late, timeout time.Duration) bool { return late > LateSlack && late > timeout/4 }

// Microseconds is a duration of up to 71 minutes in half of the memory.
type Microseconds uint32

// InMicroseconds converts a duration, and rounds it up to 1 µs.
func InMicroseconds(d time.Duration) Microseconds {
	return Microseconds(min(max(d/time.Microsecond, 1), 1<<32-1))
}

// Duration is the same as a time.Duration.
func (m Microseconds) Duration() time.Duration { return time.Duration(m) * time.Microsecond }

// Learn adds the duration of a probe that passed to m, which is an average of the last few.
func (m *Microseconds) Learn(took time.Duration) {
	now := InMicroseconds(took)
	if *m == 0 {
		*m = now
		return
	}
	*m = max(*m-*m/4+now/4, 1)
}
