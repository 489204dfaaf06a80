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

// EndWithContext makes a connection end with the context, until it is stopped. Only when it
// fires this costs a goroutine. The context's timer does for the deadline, too.
func EndWithContext(ctx context.Context, conn interface{ SetDeadline(time.Time) error }) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(PastDeadline) })
}

// PastDeadline is a deadline that is over: it ends what reads or writes.
var PastDeadline = time.Unix(1, 0)
