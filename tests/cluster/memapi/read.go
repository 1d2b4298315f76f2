package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
)

const (
	// As long as etcd keeps what a page was read from.
	pageLife      = 5 * time.Minute
	bookmarkEvery = time.Minute
	watchSeconds  = 1800
)

// page is the rest of a list, as it was when its first page was read.
type page struct {
	version int64
	items   []*object
}

func (s *server) read(w http.ResponseWriter, r *http.Request, p place) error {
	by := selection{namespace: p.namespace}
	query := r.URL.Query()
	var err error
	if by.labels, err = labels.Parse(query.Get("labelSelector")); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if by.fields, err = fields.ParseSelector(query.Get("fieldSelector")); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	known := append([]string{"metadata.name", "metadata.namespace"}, p.fields...)
	for _, required := range by.fields.Requirements() {
		if !contains(known, required.Field) {
			return notServed("selecting by " + required.Field)
		}
	}
	watches, err := isTrue(query.Get("watch"))
	if err != nil {
		return err
	}
	if watches {
		return s.watch(w, r, p, by)
	}
	return s.list(w, r, p, by)
}

func (s *server) list(w http.ResponseWriter, r *http.Request, p place, by selection) error {
	if err := onlyQuery(r, "labelSelector", "fieldSelector", "limit", "continue", "watch"); err != nil {
		return err
	}
	as, err := asked(r, "PartialObjectMetadataList")
	if err != nil {
		return err
	}
	var found page
	if token := r.URL.Query().Get("continue"); token != "" {
		kept, there := s.pages.Load(token)
		if !there {
			return apierrors.NewResourceExpired("the continue token is too old")
		}
		found = kept.(page)
	} else {
		p.Lock()
		found = page{s.version.Load(), p.selected(by)}
		p.Unlock()
	}
	metadata := metav1.ListMeta{ResourceVersion: strconv.FormatInt(found.version, 10)}
	limit, err := number(r.URL.Query().Get("limit"))
	if err != nil {
		return err
	}
	if items := found.items; limit > 0 && int64(len(items)) > limit {
		found.items = items[:limit]
		metadata.Continue = s.keep(page{found.version, items[limit:]})
		if by.labels.Empty() && by.fields.Empty() {
			left := int64(len(items)) - limit
			metadata.RemainingItemCount = &left
		}
	}
	return sendList(w, p, metadata, found.items, as)
}

// keep returns the token by which the page can be asked for, for a while.
func (s *server) keep(rest page) string {
	token := string(uuid.NewUUID())
	s.pages.Store(token, rest)
	time.AfterFunc(pageLife, func() { s.pages.Delete(token) })
	return token
}

func sendList(w http.ResponseWriter, p place, metadata metav1.ListMeta, items []*object, as form) error {
	head, each := typed(p.listKind, p.GroupVersion().String()), item
	if as == onlyMetadata {
		head = typed("PartialObjectMetadataList", metav1.SchemeGroupVersion.String())
		each = onlyMetadata
	}
	told, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	text.WriteString("{" + head + `"metadata":` + string(told) + `,"items":[`)
	for at, obj := range items {
		if at > 0 {
			text.WriteByte(',')
		}
		obj.encode(&text, each)
	}
	text.WriteString("]}\n")
	write(w, http.StatusOK, text.Bytes())
	return nil
}

func send(w http.ResponseWriter, code int, obj *object, as form) {
	var text bytes.Buffer
	obj.encode(&text, as)
	text.WriteByte('\n')
	write(w, code, text.Bytes())
}

func write(w http.ResponseWriter, code int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// Whoever went away before the end needs no answer.
	_, _ = w.Write(text)
}

func (s *server) watch(w http.ResponseWriter, r *http.Request, p place, by selection) error {
	err := onlyQuery(r, "labelSelector", "fieldSelector", "watch", "resourceVersion",
		"timeoutSeconds", "allowWatchBookmarks")
	if err != nil {
		return err
	}
	as, err := asked(r, "PartialObjectMetadata")
	if err != nil {
		return err
	}
	query := r.URL.Query()
	seconds, err := number(query.Get("timeoutSeconds"))
	if err != nil {
		return err
	}
	bookmarks, err := isTrue(query.Get("allowWatchBookmarks"))
	if err != nil {
		return err
	}
	since, err := number(query.Get("resourceVersion"))
	if err != nil {
		return err
	}
	stream := &stream{w: w, kind: p.kind, by: by, as: as, version: since}
	if since == 0 {
		s.tellAll(stream)
	}
	if seconds <= 0 {
		seconds = watchSeconds
	}
	end, stop := context.WithTimeout(r.Context(), time.Duration(seconds)*time.Second)
	defer stop()
	stream.run(end, bookmarks)
	return nil
}

// tellAll tells what is there, as if it had just been added.
func (s *server) tellAll(to *stream) {
	to.kind.Lock()
	defer to.kind.Unlock()
	to.version = s.version.Load()
	for _, obj := range to.kind.selected(to.by) {
		to.event(watch.Added, obj)
	}
}

func number(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	found, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, apierrors.NewBadRequest(err.Error())
	}
	return found, nil
}

func isTrue(text string) (bool, error) {
	if text == "" {
		return false, nil
	}
	found, err := strconv.ParseBool(text)
	if err != nil {
		return false, apierrors.NewBadRequest(err.Error())
	}
	return found, nil
}

// stream is a watch that has told all up to its version.
type stream struct {
	w       http.ResponseWriter
	kind    *kind
	by      selection
	as      form
	version int64
	text    bytes.Buffer
}

// run goes on until the end, or until the changes since are no longer known.
func (s *stream) run(end context.Context, bookmarks bool) {
	ticker := time.NewTicker(bookmarkEvery)
	defer ticker.Stop()
	s.w.Header().Set("Content-Type", "application/json")
	for {
		changed, err := s.follow()
		if s.flush() != nil || err != nil {
			return
		}
		select {
		case <-changed:
		case <-ticker.C:
			if bookmarks {
				s.bookmark()
			}
		case <-end.Done():
			return
		}
	}
}

// follow tells what changed since; it returns what is closed when there is more. After an error,
// which it tells too, the watch is over.
func (s *stream) follow() (<-chan struct{}, error) {
	changes, changed, err := s.kind.after(s.version)
	if err != nil {
		text, _ := json.Marshal(responsewriters.ErrorToAPIStatus(err))
		s.frame(watch.Error, func() { s.text.Write(text) })
		return nil, err
	}
	for _, each := range changes {
		s.version = each.version
		if event, obj := s.by.seen(each); obj != nil {
			s.event(event, obj)
		}
	}
	return changed, nil
}

func (s *stream) event(of watch.EventType, obj *object) {
	s.frame(of, func() { obj.encode(&s.text, s.as) })
}

func (s *stream) bookmark() {
	head := typed(s.kind.GroupVersionKind.Kind, s.kind.GroupVersion().String())
	if s.as == onlyMetadata {
		head = typed("PartialObjectMetadata", metav1.SchemeGroupVersion.String())
	}
	s.frame(watch.Bookmark, func() {
		s.text.WriteString("{" + head + `"metadata":{"resourceVersion":"` +
			strconv.FormatInt(s.version, 10) + `"}}`)
	})
}

func (s *stream) frame(of watch.EventType, object func()) {
	s.text.WriteString(`{"type":"` + string(of) + `","object":`)
	object()
	s.text.WriteString("}\n")
}

func (s *stream) flush() error {
	_, err := s.w.Write(s.text.Bytes())
	s.text.Reset()
	s.w.(http.Flusher).Flush()
	return err
}
