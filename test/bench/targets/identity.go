//go:build linux

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

package targets

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"farpoint.dev/farpoint/probes/scheduler"
)

// PerOwner is how many targets one owner has throughout the bench.
const PerOwner = 10

// Identity also says when within its interval a target is due, see [scheduler.Scheduler].
func Identity(index int) scheduler.Identity {
	digest := sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(index)))
	return scheduler.Identity(digest[:16])
}

// Phase is the time within its interval at which a target is due.
func Phase(index int, interval time.Duration) time.Duration {
	digest := Identity(index)
	return time.Duration(binary.BigEndian.Uint64(digest[:8]) % uint64(interval))
}
