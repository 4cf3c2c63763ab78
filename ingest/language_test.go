package ingest

import (
	"strings"
	"testing"
)

func TestDetectLanguage(t *testing.T) {
	cases := []struct{ name, text, want string }{
		{"English", "The warranty is valid for twenty-four months from delivery, and spare parts are sent within one working day.", "en"},
		{"German", "Die Gewährleistung gilt vierundzwanzig Monate ab Lieferung, Ersatzteile werden innerhalb eines Werktages versandt.", "de"},
		{"Russian", "Гарантия составляет двадцать четыре месяца со дня поставки, запасные части отправляются в течение рабочего дня.", "ru"},
		{"Chinese", "制冷机的保修期为二十四个月，备件从鹿特丹发出。", "zh"},
		{"Japanese", "保証期間は納品日から二十四か月です。", "ja"},
		{"Korean", "보증 기간은 납품일로부터 이십사 개월입니다.", "ko"},
		{"Arabic", "يسري الضمان لمدة أربعة وعشرين شهرا من تاريخ التسليم ويتم إرسال قطع الغيار خلال يوم عمل واحد.", "ar"},
		{"numbers", "1 2 3 | 4 5 6 | 2026-02-03", ""},
		{"too short", "OK", ""},
		{"empty", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := DetectLanguage(c.text); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := DetectLanguage(strings.Repeat(c.text+"\n", 400)); c.want != "" && got != c.want {
				t.Errorf("long text: got %q, want %q", got, c.want)
			}
		})
	}
}

func TestQuestionLanguage(t *testing.T) {
	cases := []struct {
		name, text string
		known      []string
		want       string
	}{
		{"known", "Who designed the tower in the centre of the town?", []string{"en"}, ""},
		{"German", "Wie viele Urlaubstage habe ich im Jahr, und wer genehmigt sie?", []string{"en"}, "de"},
		{"German is known", "Wie viele Urlaubstage habe ich im Jahr, und wer genehmigt sie?", []string{"en", "de-DE"}, ""},
		{"short in another alphabet", "Что это?", []string{"en"}, ""},
		{"long in another script", "Сколько дней отпуска у меня есть в этом году, и кто его утверждает?", []string{"en"}, "ru"},
		{"Chinese", "我每年有多少天假期？", []string{"en"}, "zh"},
		{"short", "Wer war das?", []string{"en"}, ""},
		{"names", "Halloran Tarnbeck Kälte?", []string{"en"}, ""},
		{"nothing is known of the model", "我每年有多少天假期？", nil, ""},
		{"multilingual", "我每年有多少天假期？", []string{"mul"}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := QuestionLanguage(c.text, c.known); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMatchesLanguage(t *testing.T) {
	cases := []struct {
		tag   string
		known []string
		want  bool
	}{
		{"en", []string{"en"}, true}, {"en-GB", []string{"en"}, true}, {"EN", []string{"en_US"}, true},
		{"de", []string{"en"}, false}, {"nb", []string{"no"}, true}, {"", []string{"en"}, true}, {"de", nil, true},
	}
	for _, c := range cases {
		if got := MatchesLanguage(c.tag, c.known); got != c.want {
			t.Errorf("%q of %q: got %t, want %t", c.tag, c.known, got, c.want)
		}
	}
}
