"""Texts in many scripts; the file names are in them too."""

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {
    "Begrüßung.txt": "Schöne Grüße aus Köln! Übermorgen öffnet das Café.\n",
    "Crème brûlée.md": "# Crème brûlée\n\n- crème fraîche\n- œufs\n- sucre\n",
    "Ελληνικά.txt": "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί.\n",  # noqa: RUF001 - it is Greek
    "Поездка.txt": "В четверг едем в Казань, вернёмся в воскресенье.\n",  # noqa: RUF001 - it is Cyrillic
    "Подорож.txt": "Їдемо до Львова у п'ятницю; ґанок прибрано.\n",  # noqa: RUF001 - it is Cyrillic
    "東京日記.txt": "東京駅で新幹線に乗りました。富士山がきれいに見えました。\n",
    "会议记录.txt": "会议于上午九点开始。下次会议定于三月二日。\n",
    "한국어 메모.txt": "내일 아침 아홉 시에 회의가 있습니다.\n",
    "नमस्ते.txt": "नमस्ते दुनिया। कल बैठक नौ बजे होगी।\n",
    "رسالة.txt": "مرحبًا بالعالم. الاجتماع غدًا في التاسعة صباحًا.\n",
    "מכתב.txt": "שלום עולם. הפגישה מחר בתשע בבוקר.\n",
    "บันทึก.txt": "สวัสดีชาวโลก ประชุมพรุ่งนี้เก้าโมงเช้า\n",
    "Tiếng Việt.txt": "Cuộc họp bắt đầu lúc chín giờ sáng mai.\n",
    "🎉 party 🎂.txt": "🎈 Everybody is invited! 👩‍💻👨‍🍳 🇺🇳\n",
}
