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

package tenancy

import (
	"context"

	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
)

// changes holds a token while what was read from the cache may be out of date.
type changes chan struct{}

func newChanges() changes { return make(changes, 1) }

// handler notes that an object has come or gone, or has changed in what matters.
func (c changes) handler(matters func(before, after any) bool) toolscache.ResourceEventHandler {
	note := func() {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { note() },
		DeleteFunc: func(any) { note() },
		UpdateFunc: func(before, after any) {
			if matters(before, after) {
				note()
			}
		},
	}
}

// follow reads again after changes until the context is done. What was read before counts while
// that fails, as the message says.
func (c changes) follow(ctx context.Context, message string, read func(context.Context) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c:
		}
		if err := read(ctx); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, message)
		}
	}
}
