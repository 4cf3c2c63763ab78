package modelstest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing/fstest"
)

// WordPiece returns a tokenizer.json of the kind that BERT has: letters and
// digits, each also as the continuation of a word, and the given words. A word
// that the vocabulary does not hold is cut into letters.
func WordPiece(words ...string) ([]byte, error) {
	vocabulary := map[string]int{}
	add := func(token string) {
		if _, known := vocabulary[token]; !known {
			vocabulary[token] = len(vocabulary)
		}
	}
	special := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]"}
	for _, token := range special {
		add(token)
	}
	for _, c := range "abcdefghijklmnopqrstuvwxyz0123456789.,?!'-" {
		add(string(c))
		add("##" + string(c))
	}
	for _, word := range words {
		add(word)
	}
	type object = map[string]any
	var added []object
	for id, token := range special {
		added = append(added, object{"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
	}
	token := func(name string, segment int) object {
		return object{"SpecialToken": object{"id": name, "type_id": segment}}
	}
	text := func(name string, segment int) object {
		return object{"Sequence": object{"id": name, "type_id": segment}}
	}
	data, err := json.Marshal(object{
		"version": "1.0", "added_tokens": added,
		"normalizer":    object{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": nil, "lowercase": true},
		"pre_tokenizer": object{"type": "BertPreTokenizer"},
		"post_processor": object{
			"type":   "TemplateProcessing",
			"single": []object{token("[CLS]", 0), text("A", 0), token("[SEP]", 0)},
			"pair":   []object{token("[CLS]", 0), text("A", 0), token("[SEP]", 0), text("B", 1), token("[SEP]", 1)},
			"special_tokens": object{
				"[CLS]": object{"id": "[CLS]", "ids": []int{2}, "tokens": []string{"[CLS]"}},
				"[SEP]": object{"id": "[SEP]", "ids": []int{3}, "tokens": []string{"[SEP]"}},
			},
		},
		"model": object{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocabulary},
	})
	if err != nil {
		return nil, fmt.Errorf("modelstest: write tokenizer: %w", err)
	}
	return data, nil
}

// HuggingFaceFS returns a tiny model that really runs, in the Hugging Face
// layout: config.json for an architecture such as BertForTokenClassification,
// tokenizer.json and model.onnx. Labels, if there are any, become id2label.
func HuggingFaceFS(architecture string, graph Graph, labels ...string) (fstest.MapFS, error) {
	width := graph.Width
	if width == 0 {
		width = GraphWidth
	}
	config := map[string]any{"architectures": []string{architecture}, "model_type": "bert", "hidden_size": width, "max_position_embeddings": 64}
	if len(labels) > 0 {
		byID := map[string]string{}
		for i, label := range labels {
			byID[strconv.Itoa(i)] = label
		}
		config["id2label"] = byID
	}
	data, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("modelstest: write config: %w", err)
	}
	tokenizer, err := WordPiece("who", "designed", "the", "tower")
	if err != nil {
		return nil, err
	}
	return fstest.MapFS{
		"config.json": {Data: data}, "tokenizer.json": {Data: tokenizer}, "model.onnx": {Data: graph.File()},
	}, nil
}
