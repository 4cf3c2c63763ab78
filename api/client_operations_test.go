package api_test

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/needle-search/needle/api/client"
)

// methodOf names the method of the Go client for every operation of the OpenAPI
// file; "" says that there is none, and why.
var methodOf = map[string]string{
	"ask": "Ask", "search": "Search", "read": "Read", "rerank": "Rerank", "predict": "Predict",
	"rerankV2": "", "rerankBare": "", // other paths of rerank
	"listModels": "Models", "useModel": "UseModel",
	"listIndexes": "Indexes", "getIndex": "Stats", "createIndex": "CreateIndex", "deleteIndex": "DropIndex",
	"compactIndex": "Compact", "verifyIndex": "Verify", "swapIndex": "SwapIndexes", "declareFields": "DeclareFields",
	"backupIndex": "Backup", "restoreIndex": "Restore", "rebuildStatus": "RebuildStatus", "startRebuild": "StartRebuild",
	"listDocuments": "List", "getDocument": "Document", "putDocument": "PutDocument", "deleteDocument": "DeleteDocument",
	"addDocument": "Put", "bulk": "Put", "deleteDocuments": "Delete", "uploadFiles": "UploadFile",
	"addFeedback": "AddFeedback", "listFeedback": "Feedback", "getFeedbackCase": "FeedbackCase", "reviewFeedback": "ReviewFeedback", "exportFeedback": "ExportFeedback",
	"getShadow": "ShadowStatus", "startShadow": "StartShadow", "stopShadow": "StopShadow",
	"listKeys": "Keys", "createKey": "CreateKey", "revokeKey": "RevokeKey",
	"healthz": "Health", "readyz": "Ready", "metrics": "Metrics", "openapi": "OpenAPI",
	"page": "", // for browsers
}

func TestClientHasEveryOperation(t *testing.T) {
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for path, members := range document.Paths {
		for verb, text := range members {
			var operation struct{ OperationID string }
			if json.Unmarshal(text, &operation) != nil || operation.OperationID == "" {
				continue // parameters of the whole path
			}
			id := operation.OperationID
			seen[id] = true
			method, known := methodOf[id]
			if !known {
				t.Errorf("%s %s (%s): the Go client has no method for it; add one, and one to clients/python", verb, path, id)
			} else if _, ok := reflect.TypeFor[*client.Client]().MethodByName(method); !ok && method != "" {
				t.Errorf("%s: Client has no method %s", id, method)
			}
		}
	}
	if len(seen) < 30 {
		t.Errorf("openapi.json names %d operations", len(seen))
	}
	for id := range methodOf {
		if !seen[id] {
			t.Errorf("openapi.json has no operation %s any more", id)
		}
	}
}
