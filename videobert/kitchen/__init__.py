"""The built-in corpus: narrated how-to videos of a drawn kitchen, as sources of the form `kitchen:17` and `kitchen:recipe-17`.

Machines without the open internet must run every real stage, and tests need ground truth to score against. So a source
`kitchen:17` is a video that is computed: its script and every byte of its file are functions of the number. (The steps of
`kitchen:17` are drawn one by one, those of `kitchen:recipe-17` follow from each other.) A voice
says each step slightly before or while hands carry it out. The action can be seen only in the motion, the object only
in its colour and shape, and the words are the only label, as in real how-to videos.

A module imports only from modules above it in this list.

    script.py   which actions on which objects, when they are shown, when and how they are spoken
    recipes.py  scripts of dishes, whose steps follow from each other
    sources.py  a source, and the script that it names
    voice.py    the sound of a video
    pen.py      colours, points, timing curves, and the pen that draws them through the camera
    look.py     what a video keeps from first to last frame, and the empty kitchen
    food.py     the food: whole, cut, in pieces, in a vessel
    tools.py    hands, tools and vessels
    stage.py    what an action is given and what it returns
    actions/    the sixteen actions, a file each
    scene.py    one step as a function of time
    video.py    the pictures of a video, excerpts of other videos, and the file
"""
