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
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// sighting is something that the API server has told of.
type sighting struct {
	at     time.Time
	object client.Object
	gone   bool
}

// observer asks the API server, as anybody might who has nothing to do with Farpoint.
type observer struct {
	config *rest.Config
	scheme *runtime.Scheme
	client client.Client
	http   *http.Client
}

func newObserver(config *rest.Config) (*observer, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := farpointv1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	made, err := client.New(config, client.Options{Scheme: scheme, HTTPClient: httpClient})
	return &observer{config: config, scheme: scheme, client: made, http: httpClient}, err
}

// apply creates the namespace and the object in it.
func (o *observer) apply(ctx context.Context, object *farpointv1.ExternalService) error {
	if err := o.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: object.Namespace}}); err != nil {
		return fmt.Errorf("create the namespace: %w", err)
	}
	if err := o.client.Create(ctx, object); err != nil {
		return fmt.Errorf("create the ExternalService: %w", err)
	}
	return nil
}

// watch sends what happens to ExternalServices, EndpointSlices and Events of the
// namespace, until the context is done. The function that it returns waits until the
// last watch has ended.
func (o *observer) watch(ctx context.Context) (sightings <-chan sighting, wait func(), err error) {
	informers, err := cache.New(o.config, cache.Options{
		Scheme:            o.scheme,
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		// What it would write to stderr would get between the lines of the screen. It
		// goes on trying.
		DefaultWatchErrorHandler: func(context.Context, *toolscache.Reflector, error) {},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("watch the API server: %w", err)
	}
	seen := make(chan sighting)
	tell := func(object any, gone bool) {
		if last, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
			object = last.Obj
		}
		select {
		case seen <- sighting{at: time.Now(), object: object.(client.Object), gone: gone}:
		case <-ctx.Done():
		}
	}
	for _, kind := range []client.Object{&farpointv1.ExternalService{}, &discoveryv1.EndpointSlice{}, &eventsv1.Event{}} {
		informer, err := informers.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, nil, fmt.Errorf("watch %T: %w", kind, err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { tell(object, false) },
			UpdateFunc: func(_, object any) { tell(object, false) },
			DeleteFunc: func(object any) { tell(object, true) },
		})
		if err != nil {
			return nil, nil, fmt.Errorf("watch %T: %w", kind, err)
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = informers.Start(ctx) // it fails only if it is started twice
	}()
	return seen, func() { <-ended }, nil
}

// listing is what `kubectl get extsvc` prints: a line of heads and a line of cells.
type listing struct{ heads, cells []string }

// list asks the API server for the table that kubectl asks for. The listing is empty if
// there is no ExternalService.
func (o *observer) list(ctx context.Context) (listing, error) {
	url := fmt.Sprintf("%s/apis/%s/namespaces/%s/externalservices", strings.TrimSuffix(o.config.Host, "/"), farpointv1.GroupVersion, namespace)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return listing{}, err
	}
	request.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	response, err := o.http.Do(request)
	if err != nil {
		return listing{}, err
	}
	defer response.Body.Close()
	var table metav1.Table
	if err := json.NewDecoder(response.Body).Decode(&table); err != nil {
		return listing{}, fmt.Errorf("decode the table of ExternalServices: %w", err)
	}
	return listingOf(&table), nil
}

// listingOf takes the columns that are shown without -o wide.
func listingOf(table *metav1.Table) listing {
	var made listing
	if len(table.Rows) == 0 {
		return made
	}
	for i, column := range table.ColumnDefinitions {
		if column.Priority == 0 {
			made.heads = append(made.heads, strings.ToUpper(column.Name))
			made.cells = append(made.cells, cell(table.Rows[0].Cells[i]))
		}
	}
	return made
}

func cell(value any) string {
	if value == nil {
		return "" // kubectl prints nothing for what is not there yet
	}
	return fmt.Sprint(value)
}
