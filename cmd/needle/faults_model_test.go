package main

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/needle-search/needle/models/heads/weights"
	"github.com/needle-search/needle/models/tokenizer"
	"github.com/needle-search/needle/pipeline"
)

// treacherousGraph reads as the embedded model does, but ONNX Runtime fails as
// soon as a window holds a token twice: a fault that no check of a bundle can find.
func treacherousGraph(t *testing.T, token int32) []byte {
	t.Helper()
	tensors, err := weights.Read(builtinFile(t, "span.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	weight, bias := tensors["weight"], tensors["bias"]
	width := weight.Shape[1]
	integers := func(name string, value int64, shape ...[]byte) []byte {
		raw := binary.LittleEndian.AppendUint64(nil, uint64(value))
		return part(5, append(shape, number(2, 7), part(8, []byte(name)), part(9, raw))...)
	}
	attribute := func(name string, value uint64) []byte {
		return append(append(part(1, []byte(name)), number(3, value)...), number(20, 2)...)
	}
	more := [][]byte{
		integers("trap_token", int64(token)),
		integers("trap_axis", 1, number(1, 1)),
		// Two rows of zeros: for no and for one occurrence.
		floats("trap_table", []float32{0, 0}, 2, 1),
		node("Equal", []string{"input_ids", "trap_token"}, "trap_is"),
		node("Cast", []string{"trap_is"}, "trap_one", attribute("to", 7)),
		node("ReduceSum", []string{"trap_one", "trap_axis"}, "trap_count", attribute("keepdims", 0)),
		node("Gather", []string{"trap_table", "trap_count"}, "trap_row"),
	}
	for i, name := range []string{"start_logits", "end_logits"} {
		more = append(more,
			floats(name+"_w", weight.Data[i*width:(i+1)*width], uint64(width)),
			floats(name+"_b", bias.Data[i:i+1], 1),
			node("MatMul", []string{"last_hidden_state", name + "_w"}, name+"_x"),
			node("Add", []string{name + "_x", name + "_b"}, name+"_y"),
			node("Add", []string{name + "_y", "trap_row"}, name),
			declared(name, -1, -1))
	}
	return append(builtinFile(t, "model.int8.onnx"), part(7, more...)...)
}

// TestModelFailsAtRunTime exchanges the model of a running server for one that
// passes every check and then fails on some questions: these get their candidates
// with a warning, never a wrong answer, and nothing else suffers.
func TestModelFailsAtRunTime(t *testing.T) {
	server := startLive(t)
	needle, ctx := server.client, t.Context()
	cutter, err := tokenizer.Load(builtinFile(t, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	tokens := cutter.Tokenize("zebra")
	if len(tokens.IDs) != 1 {
		t.Fatalf("zebra is %d tokens, want 1", len(tokens.IDs))
	}
	bundle := hubDirectory(t, `"architectures": ["BertForQuestionAnswering"]`, "onnx/model.onnx", treacherousGraph(t, tokens.IDs[0]))
	swap, err := needle.UseModel(ctx, pipeline.ModelUse{Bundle: bundle})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(question string) *pipeline.Result {
		t.Helper()
		result, err := needle.Ask(ctx, pipeline.Request{Question: question})
		if err != nil {
			t.Fatalf("%q: %v", question, err)
		}
		if result.Model.Hash != swap.Current.Model.Hash {
			t.Errorf("%q was read by %s, want the bundle that was put to use", question, result.Model.Hash)
		}
		return result
	}
	for round := range 2 {
		if result := ask("Who designed the Eiffel Tower?"); !result.Complete || len(result.Answers) == 0 || result.Answers[0].Text != "Gustave Eiffel" {
			t.Errorf("round %d: a question that the model can read: %+v", round, result)
		}
		result := ask("Who designed the Eiffel Tower, a zebra or a zebra?")
		if result.Complete || result.Answerable || len(result.Answers) > 0 || len(result.Candidates) == 0 || !strings.Contains(strings.Join(result.Warnings, " "), "the model failed") {
			t.Errorf("round %d: a question that the model fails on: %+v, want its candidates and a warning", round, result)
		}
		found, err := needle.Search(ctx, pipeline.SearchRequest{Query: "Eiffel Tower zebra zebra"})
		if err != nil || len(found.Hits) != 1 {
			t.Errorf("round %d: search: %+v, %v", round, found, err)
		}
	}
	metrics, err := needle.Metrics(ctx)
	if err != nil || strings.Contains(string(metrics), "\nneedle_model_call_failures_total 0\n") || !strings.Contains(string(metrics), "\nneedle_model_call_failures_total") {
		t.Errorf("the metrics do not count the failures (%v)", err)
	}
	if err := needle.Ready(ctx); err != nil {
		t.Errorf("readiness: %v", err)
	}
}
