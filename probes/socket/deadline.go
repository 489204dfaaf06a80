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

package socket

import (
	"context"
	"time"
)

// EndWithContext ends reads and writes of a connection with the context, until stop is called. It
// starts a goroutine only when the context ends. The context's timer serves for the deadline, too.
func EndWithContext(ctx context.Context, conn interface{ SetDeadline(time.Time) error }) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(PastDeadline) })
}

// PastDeadline is a deadline in the past: it ends all reads and writes.
var PastDeadline = time.Unix(1, 0)
