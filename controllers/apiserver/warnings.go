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

package apiserver

import (
	"context"
	"strings"

	"k8s.io/client-go/rest"
)

// WarningFilter passes on the API server's warnings, except the one that comes with each request
// for Endpoints since Kubernetes 1.33, and that of slices of the type FQDN. Both are used on
// purpose, and the descriptions of publishEndpoints and publish: FQDN say that they are
// deprecated.
type WarningFilter struct {
	Next rest.WarningHandlerWithContext
}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w WarningFilter) HandleWarningHeaderWithContext(ctx context.Context, code int, agent, message string) {
	if !strings.HasPrefix(message, "v1 Endpoints is deprecated") && !strings.Contains(message, "FQDN endpoints are deprecated") {
		w.Next.HandleWarningHeaderWithContext(ctx, code, agent, message)
	}
}
