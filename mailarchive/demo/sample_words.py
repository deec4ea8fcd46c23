"""The words of the sample mail: who writes, about what, and what they say.

The law of this room: nobody and nothing in it is real; all addresses are under example.org, example.com and
example.net (RFC 2606).
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Person(NamedTuple):
    """Somebody who writes; `zone` is the offset of their clock in hours."""

    name: str
    address: str
    zone: int


ME: Final = Person("Robin Keller", "robin@example.org", 1)

FRIENDS: Final = (
    Person("Anna Berger", "anna.berger@example.com", 1),
    Person("Tom Okafor", "tom@example.net", 0),
    Person("Zoë Lindström", "zoe@example.net", 2),
    Person("José Álvarez", "jose.alvarez@example.com", 1),
    Person("Ida Keller", "ida.keller@example.org", 1),
    Person("Grandma Ruth", "ruth@example.com", -5),
    Person("Łukasz Wójcik", "lukasz@example.net", 1),
)

COLLEAGUES: Final = (
    Person("Priya Raman", "priya.raman@example.com", 5),
    Person("Martin Hale", "martin.hale@example.com", 0),
    Person("Sofie Dahl", "sofie.dahl@example.com", 1),
    Person("Günther Weiß", "g.weiss@example.com", 1),
    Person("Accounting", "accounting@example.com", 1),
    Person("Dana Whitfield", "dana@example.com", -8),
)

FRENCH: Final = (
    Person("Chloé Marchand", "chloe.marchand@example.net", 2),
    Person("Étienne Dubois", "etienne@example.net", 2),
)

JAPANESE: Final = (
    Person("田中 花子", "hanako.tanaka@example.com", 9),
    Person("佐藤 健", "ken.sato@example.net", 9),
)

DEVELOPERS: Final = (
    Person("Mira Novak", "mira@example.org", 1),
    Person("Jonas Ek", "jonas.ek@example.net", 2),
    Person("Paul Ferreira", "paulf@example.org", -3),
    Person("R. Castellano", "rcast@example.com", 1),
    Person("Wei Zhang", "wei.zhang@example.net", 8),
)

SENDERS_OF_NOTICES: Final = (
    Person("Bookshop on the Corner", "orders@shop.example.com", 0),
    Person("Night Train Tickets", "no-reply@trains.example.net", 1),
    Person("City Library", "loans@library.example.org", 1),
    Person("Green Power Co-op", "billing@power.example.com", 1),
    Person("The Weekly Crossword", "news@crossword.example.net", -5),
    Person("Repair Café", "events@repair.example.org", 1),
)

SPAMMERS: Final = (
    Person("Prize Department", "winner@lottery.example.com", 3),
    Person("Best Watches!!!", "deals@watches.example.net", 8),
    Person("Dr. Miracle", "health@pills.example.com", -6),
)

FRIENDLY_SUBJECTS: Final = (
    "Dinner on Friday?",
    "Photos from the weekend",
    "Your bike is still in my cellar",
    "The recipe you asked for",
    "Moving house, need a hand",
    "Happy birthday!",
    "Train times for Saturday",
    "Found your umbrella",
    "Concert tickets",
    "Re: that film",
    "Café at the corner: closing down",
    "Garden plans",
)

WORK_SUBJECTS: Final = (
    "Minutes of Monday's meeting",
    "Draft of the quarterly report",
    "Invoice {number}",
    "Travel expenses",
    "Offer {number}, second version",
    "Roadmap: your comments please",
    "Holiday calendar",
    "Review of the prototype",
    "Budget {year}",
    "Hand-over of the customer database",
    "Agenda for Thursday",
    "Prüfbericht {number}",
)

NOTICE_SUBJECTS: Final = (
    "Your order {number} is on its way",
    "Your receipt for order {number}",
    "Booking {number} confirmed",
    "Two of your loans are due",
    "Your bill for this month",
    "This week's puzzle",
    "Open workshop on Saturday",
    "Please rate your purchase \u2605",
)

LIST_SUBJECTS: Final = (
    "Bug#{number}: fails to build from source twice in a row",
    "Bug#{number}: manual page names an option that does not exist",
    "[RFC] dropping the old init script",
    "Transition of the image library",
    "Release team meeting, summary",
    "Intent to package: small calendar tool",
    "[PATCH] quote file names in the hook",
    "Which mirror do you use?",
    "Accepted: mail tools {number} into unstable",
)

SPAM_SUBJECTS: Final = (
    "You have WON {number} dollars",
    "Watches -90% only today",
    "Your account will be closed",
    "Doctors hate this",
    "Re: Re: your payment",
)

FRENCH_SUBJECTS: Final = (
    "Vacances d'été",
    "Les photos de la plage",
    "Réservation du gîte",
    "Où es-tu ?",
    "Randonnée de dimanche, météo à vérifier",
)

JAPANESE_SUBJECTS: Final = (
    "京都旅行の写真",
    "来週の予定について",
    "お誕生日おめでとう",
    "新幹線の切符",
    "ご無沙汰しております。春の旅行のご相談と、宿の予約の確認のお願い",
)

ENGLISH: Final = (
    "Thanks for the quick answer, that helps a lot.",
    "I looked at it again last night and I think we can keep the first version.",
    "Could you send me the numbers before Thursday, so that I can put them into the table?",
    "The weather was kind to us until the very last hour, then we all got soaked.",
    "Nothing is urgent, but I would rather not forget it.",
    "We meet at the usual place, a little before seven.",
    "If the train is late again I shall take the bike.",
    "Please find the details below; the rest is in the attachment.",
    "I have asked two others and both of them say the same.",
    "There is still cake left, so come by when you can.",
    "The cellar is dry now and the boxes can go back.",
    "Let me know whether the second date suits you better.",
    "It took longer than we thought, mostly because of the old cables.",
    "I am away from the 3rd to the 14th and read mail only in the evening.",
    "She laughed so loudly that the people at the next table turned round.",
    "For the record: the key is with the neighbours on the second floor.",
)

FORMAL: Final = (
    "As agreed, the payment is due within thirty days.",
    "The figures of the last quarter are four per cent above the plan.",
    "Open points are marked in the margin; please answer them in the document.",
    "The customer asks for a fixed date, which we cannot give before the tests are through.",
    "We decided to keep the present supplier for another year.",
    "Two of the five measurements lie outside the tolerance and will be repeated.",
    "The minutes count as accepted if nobody objects by Friday.",
    "Please book the cost on the project and not on the department.",
)

TECHNICAL: Final = (
    "I can reproduce this on a clean machine; the log is below.",
    "The test passes alone and fails when it runs after the others, so something is left behind.",
    "As far as I can see the option was renamed two releases ago and the manual never followed.",
    "Please keep the old name as an alias for one release.",
    "Tagging as patch; the diff is small and only touches the quoting.",
    "On slow machines the time-out is too short, doubling it makes the failure go away.",
    "I would rather fix the cause than add another special case.",
    "Uploaded with a delay of five days, shout if you want me to cancel it.",
)

SALESY: Final = (
    "Act now, this offer ends at midnight!",
    "Just answer with your full name and the number of your account.",
    "Thousands of happy customers cannot be wrong.",
    "No risk, no fee, no questions.",
)

FRENCH_TEXT: Final = (
    "Nous sommes bien arrivés, la mer est encore fraîche mais le ciel est magnifique.",
    "Je t'envoie les photos dès que j'ai retrouvé le câble.",
    "Le gîte est réservé du 12 au 26, il reste à régler l'acompte.",
    "On se retrouve à la gare, près du café, vers dix heures.",
    "N'oublie pas la crème solaire, l'année dernière c'était une catastrophe !",
)

JAPANESE_TEXT: Final = (
    "先日はありがとうございました。とても楽しかったです。",
    "写真を何枚かお送りします。桜がちょうど満開でした。",
    "来週の土曜日は空いていますか。駅で十時に会いましょう。",
    "新しい住所が決まったら、またご連絡します。",
    "どうぞお体に気をつけてお過ごしください。",
)
