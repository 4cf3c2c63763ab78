package ingest

import (
	"io"
	"strings"
	"testing"

	"golang.org/x/text/encoding/htmlindex"
)

// encoded are texts and the encodings that they were commonly stored in.
var encoded = []struct{ language, text, encodings string }{
	{"de", "Die Kältemaschine wird von einer Fachkraft für Kälteanlagen geöffnet. Straßenfahrzeuge dürfen das Werksgelände nur über das Südtor verlassen. Größere Reparaturen übernimmt der Kundendienst in Düsseldorf.", "windows-1252,iso-8859-1,iso-8859-15"},
	{"fr", "L'entreprise a été fondée en 1974. Les congés doivent être demandés au moins deux semaines à l'avance, sauf cas de force majeure. Le siège se trouve à Sheffield, où travaillent près de mille employés.", "windows-1252,iso-8859-1"},
	{"es", "La empresa fue fundada en 1974. Las vacaciones deben solicitarse con al menos dos semanas de antelación. El año pasado la compañía entregó más de nueve mil máquinas en España y América.", "windows-1252,iso-8859-1"},
	{"pl", "Gwarancja obejmuje dwadzieścia cztery miesiące od dnia dostawy. Części zamienne wysyłane są z Rotterdamu w ciągu jednego dnia roboczego. Urządzenie może otwierać wyłącznie uprawniony technik, żeby uniknąć wypadków.", "windows-1250,iso-8859-2"},
	{"cs", "Záruka platí dvacet čtyři měsíců ode dne dodání. Náhradní díly se odesílají z Rotterdamu během jednoho pracovního dne. Zařízení smí otevřít pouze oprávněný technik, příště zavolejte předem.", "windows-1250,iso-8859-2"},
	{"hu", "A jótállás a szállítás napjától számított huszonnégy hónapig érvényes. A pótalkatrészeket egy munkanapon belül küldjük Rotterdamból. A készüléket csak képzett szakember nyithatja fel, különben megszűnik.", "windows-1250,iso-8859-2"},
	{"ru", "Завод в Брно выпускает холодильные машины для молочных хозяйств. Гарантия составляет двадцать четыре месяца со дня поставки. Запасные части отправляются из Роттердама в течение одного рабочего дня.", "windows-1251,koi8-r,iso-8859-5,ibm866,x-mac-cyrillic"},
	{"uk", "Завод у Брно випускає холодильні машини для молочних господарств. Гарантія становить двадцять чотири місяці з дня поставки. Запасні частини надсилаються з Роттердама протягом одного робочого дня.", "windows-1251,koi8-u"},
	{"bg", "Заводът в Бърно произвежда хладилни машини за млекопреработвателни предприятия. Гаранцията е двадесет и четири месеца от деня на доставката. Резервните части се изпращат от Ротердам.", "windows-1251"},
	{"el", "Η εγγύηση ισχύει για είκοσι τέσσερις μήνες από την ημερομηνία παράδοσης. Τα ανταλλακτικά αποστέλλονται από το Ρότερνταμ μέσα σε μία εργάσιμη ημέρα.", "windows-1253,iso-8859-7"},
	{"tr", "Şirket bin dokuz yüz yetmiş dört yılında kuruldu. Garanti süresi teslim tarihinden itibaren yirmi dört aydır. Yedek parçalar bir iş günü içinde Rotterdam'dan gönderilir.", "windows-1254,iso-8859-9"},
	{"he", "האחריות תקפה לעשרים וארבעה חודשים מיום המסירה. חלקי חילוף נשלחים מרוטרדם בתוך יום עבודה אחד. רק טכנאי מוסמך רשאי לפתוח את המכונה.", "windows-1255,iso-8859-8"},
	{"ar", "يسري الضمان لمدة أربعة وعشرين شهرا من تاريخ التسليم. يتم إرسال قطع الغيار من روتردام خلال يوم عمل واحد. لا يجوز فتح الجهاز إلا من قبل فني مؤهل.", "windows-1256,iso-8859-6"},
	{"zh", "公司成立于一九七四年，总部设在谢菲尔德。制冷机的保修期为二十四个月，备件从鹿特丹发出。只有合格的技术人员才可以打开设备。", "gb18030,gbk"},
	{"zh-tw", "公司成立於一九七四年，總部設在謝菲爾德。製冷機的保固期為二十四個月，備件從鹿特丹發出。只有合格的技術人員才可以打開設備。", "big5"},
	{"ja", "会社は千九百七十四年にシェフィールドで設立されました。保証期間は納品日から二十四か月です。部品はロッテルダムから一営業日以内に発送されます。", "shift_jis,euc-jp,iso-2022-jp"},
	{"ko", "회사는 천구백칠십사년에 셰필드에서 설립되었습니다. 보증 기간은 납품일로부터 이십사 개월입니다. 부품은 로테르담에서 하루 안에 발송됩니다.", "euc-kr"},
	{"th", "บริษัทก่อตั้งขึ้นในปี พ.ศ. ๒๕๑๗ ระยะเวลารับประกันคือยี่สิบสี่เดือนนับจากวันที่ส่งมอบ อะไหล่จะถูกส่งจากรอตเทอร์ดามภายในหนึ่งวันทำการ", "windows-874"},
	{"lt", "Garantija galioja dvidešimt keturis mėnesius nuo pristatymo dienos. Atsarginės dalys išsiunčiamos iš Roterdamo per vieną darbo dieną. Įrenginį gali atidaryti tik kvalifikuotas technikas.", "windows-1257,iso-8859-13"},
	{"ro", "Garanţia este valabilă douăzeci şi patru de luni de la data livrării. Piesele de schimb sunt expediate din Rotterdam într-o zi lucrătoare. Aparatul poate fi deschis numai de un tehnician calificat.", "windows-1250,iso-8859-2"},
	{"en", "The warranty is valid for twenty-four months from delivery – see “Terms”. Spare parts are sent from Rotterdam within one working day; the café’s price is £3.", "windows-1252"},
}

// TestEncodings stores texts in their encodings, as whole paragraphs: what
// counts is the text, not the name, for many encodings agree on it.
func TestEncodings(t *testing.T) {
	for _, c := range encoded {
		for label := range strings.SplitSeq(c.encodings, ",") {
			t.Run(c.language+" in "+label, func(t *testing.T) {
				e, err := htmlindex.Get(label)
				if err != nil {
					t.Fatal(err)
				}
				data, err := e.NewEncoder().Bytes([]byte(c.text))
				if err != nil {
					t.Fatal(err)
				}
				got, err := ReadText(io.NewSectionReader(strings.NewReader(string(data)), 0, int64(len(data))), 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				if got.Text != c.text {
					t.Errorf("read as %s:\n%s\nwant\n%s", got.Encoding, got.Text, c.text)
				}
			})
		}
	}
}
