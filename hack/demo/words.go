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

package main

import (
	"fmt"
	"strings"
	"time"
)

// introduction is for people who see the project for the first time.
const introduction = `Farpoint demo

Kubernetes probes Pods, but nothing outside the cluster. Farpoint does: an
ExternalService lists endpoints outside, the operator probes each of them, and
writes EndpointSlices that say which ones are alive. kube-proxy, ingresses and
gateways follow those as they follow the slices of Pods.

Here four little HTTP servers on this machine play the world outside. They are
stopped and started again one after the other, and you see what the API server
then says of their endpoints:

  alive   ready=true  serving=true  terminating=false   gets traffic
  dead    ready=false serving=false terminating=false   gets none

The addresses are of the ranges for documentation, so that nobody has them; the
probes are led to the servers on this machine by healthCheckURL.
`

// guide tells how to look at the cluster, and what to try there.
func guide(kubectl, kubeconfig, manifest string) string {
	k := fmt.Sprintf("alias k='%s --kubeconfig %s'", kubectl, kubeconfig)
	return `Look for yourself, in a second terminal:

  ` + k + `
  k get extsvc --watch
  k get services,endpointslices
  k get endpointslices -o jsonpath='{range .items[*].endpoints[*]}{.addresses[0]}{"\t"}{.conditions}{"\n"}{end}'
  k describe extsvc ` + name + `
  k get events --watch

Or get in the way, and see it put right:

  k delete endpointslices --all        # they are there again at once
  k edit endpointslices                # whatever you change is changed back
  k patch extsvc ` + name + ` --type json -p '[{"op": "add", "path": "/spec/endpoints/0/state", "value": "Draining"}]'
  k delete extsvc ` + name + `         # slices and Service go with it;
  k apply -f ` + manifest + `   # brings them back
`
}

// stamped is a change as a line.
func stamped(now time.Time, c change) string {
	return fmt.Sprintf("%s  %-7s  %s", now.Format("15:04:05.000"), c.source, c.text)
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}
